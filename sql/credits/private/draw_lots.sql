-- draw_lots: takes credits from the lots of a user, soonest expiry first.
--
-- For a ledger row (p_seq), or for a hold. What the lots do not have comes from credits that never expire, which nobody has to
-- write down. The caller holds the lock, and has settled what was due: no lot here is past its expiry.

create or replace function credits_private.draw_lots(
  p_user_id uuid,
  p_amount bigint,
  p_seq bigint,
  p_hold_id uuid
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_left bigint := p_amount;
  v_part bigint;
  v_lot record;
begin
  for v_lot in
    select l.seq, l.remaining
    from credits_private.credit_lots as l
    where l.user_id = p_user_id and l.expired_at is null and l.remaining > 0
    order by l.expires_at, l.seq
  loop
    v_part := least(v_left, v_lot.remaining);
    update credits_private.credit_lots as l
    set remaining = l.remaining - v_part
    where l.user_id = p_user_id and l.seq = v_lot.seq;
    if p_hold_id is null then
      insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
      values (p_user_id, p_seq, p_seq, v_lot.seq, -v_part);
    else
      insert into credits_private.hold_lots (user_id, hold_id, lot_seq, amount)
      values (p_user_id, p_hold_id, v_lot.seq, v_part);
    end if;
    v_left := v_left - v_part;
    exit when v_left = 0;
  end loop;
end;
$$;

comment on function credits_private.draw_lots(uuid, bigint, bigint, uuid) is
  'Takes up to p_amount credits from lots, for the ledger row p_seq or, where one is given, for a hold.';

revoke all on function credits_private.draw_lots(uuid, bigint, bigint, uuid) from public, anon, authenticated, service_role;
