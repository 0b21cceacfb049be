-- draw_lots: takes credits from the lots of a user, soonest expiry first.
--
-- For a ledger row (p_seq), or for a hold. What the lots do not have comes from credits that never expire, which
-- nobody has to write down. The caller holds the lock, and has settled what was due: no lot here is past its
-- expiry.

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
  v_lot_seq bigint;
begin
  while v_left > 0 loop
    update credits_private.credit_lots as l
    set remaining = l.remaining - least(v_left, l.remaining)
    from (
      select s.seq, s.remaining
      from credits_private.credit_lots as s
      where s.user_id = p_user_id and s.expired_at is null and s.remaining > 0
      order by s.expires_at, s.seq
      limit 1
    ) as f
    where l.user_id = p_user_id and l.seq = f.seq
    returning l.seq, f.remaining - l.remaining into v_lot_seq, v_part;
    exit when not found;
    if p_hold_id is null then
      insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
      values (p_user_id, p_seq, p_seq, v_lot_seq, -v_part);
    else
      insert into credits_private.hold_lots (user_id, hold_id, lot_seq, amount)
      values (p_user_id, p_hold_id, v_lot_seq, v_part);
    end if;
    v_left := v_left - v_part;
  end loop;
end;
$$;

comment on function credits_private.draw_lots(uuid, bigint, bigint, uuid) is
  'Takes up to p_amount credits from lots, for the ledger row p_seq or, where one is given, for a hold.';

revoke all on function credits_private.draw_lots(uuid, bigint, bigint, uuid) from public, anon, authenticated, service_role;
