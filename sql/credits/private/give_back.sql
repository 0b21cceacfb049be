-- give_back: returns credits to where a movement took them from, under their own expiry.
--
-- For a refund, with its consumption as origin, and for a clawback that is reversed, with the purchase. In the
-- reverse order of taking: what came from credits that never expire first, then the lot that ends last; so a part
-- given back leaves what a smaller movement would have left. A debt is paid from it, and what has expired meanwhile
-- expires again, with a ledger row.

create or replace function credits_private.give_back(
  p_user_id uuid,
  p_origin_seq bigint,
  p_seq bigint,
  p_amount bigint,
  p_taken bigint,
  p_at timestamptz
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_left bigint := p_amount;
  v_part bigint;
  v_lot pg_catalog.record;
begin
  select p_taken - coalesce(sum(-t.amount), 0)::bigint
  into v_part
  from credits_private.lot_allocations as t
  where t.user_id = p_user_id and t.origin_seq = p_origin_seq and t.lot_seq <> 0;
  v_part := least(v_left, greatest(v_part, 0));
  if v_part > 0 then
    insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
    values (p_user_id, p_origin_seq, p_seq, 0, v_part);
    v_left := v_left - v_part;
  end if;
  for v_lot in
    select l.seq, l.expires_at, -sum(t.amount)::bigint as taken
    from credits_private.lot_allocations as t
    join credits_private.credit_lots as l on l.user_id = t.user_id and l.seq = t.lot_seq
    where t.user_id = p_user_id and t.origin_seq = p_origin_seq and t.lot_seq <> 0
    group by l.seq, l.expires_at
    having sum(t.amount) < 0
    order by l.expires_at desc, l.seq desc
  loop
    exit when v_left = 0;
    v_part := least(v_left, v_lot.taken);
    insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
    values (p_user_id, p_origin_seq, p_seq, v_lot.seq, v_part);
    update credits_private.credit_lots as l
    set remaining = l.remaining + v_part, expired_at = null
    where l.user_id = p_user_id and l.seq = v_lot.seq;
    if v_lot.expires_at > p_at then
      perform credits_private.due_by(p_user_id, v_lot.expires_at);
    end if;
    v_left := v_left - v_part;
  end loop;
  perform credits_private.cover_debt(p_user_id, p_seq, p_seq);
  perform credits_private.expire_lots(p_user_id, p_at, p_at, null);
end;
$$;

comment on function credits_private.give_back(uuid, bigint, bigint, bigint, bigint, timestamptz) is
  'Returns p_amount of the p_taken credits that a movement still has, into their lots, for the ledger row p_seq.';

revoke all on function credits_private.give_back(uuid, bigint, bigint, bigint, bigint, timestamptz)
  from public, anon, authenticated, service_role;
