-- cover_debt: credits in lots pay a debt before anything else does.
--
-- Called after whatever may leave less than nothing of the credits that never expire: a clawback, an adjustment,
-- the capture of a hold, a refund or a grant while there is a debt. Takes from free lots first, soonest expiry
-- first, then from what active holds have of lots: the hold stays, and its capture makes the debt. So no lot has
-- credits while the rest is below zero.

create or replace function credits_private.cover_debt(
  p_user_id uuid,
  p_origin_seq bigint,
  p_seq bigint
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_debt bigint;
  v_part bigint;
  v_lot pg_catalog.record;
begin
  select (
    coalesce(
      (select sum(l.remaining) from credits_private.credit_lots as l where l.user_id = p_user_id and l.expired_at is null), 0
    )
    + coalesce((select sum(h.amount) from credits_private.hold_lots as h where h.user_id = p_user_id), 0)
    - a.credits_remaining
  )::bigint
  into v_debt
  from public.user_credits as a
  where a.user_id = p_user_id;
  if v_debt <= 0 then
    return;
  end if;
  for v_lot in
    select s.seq, s.hold_id, s.amount
    from (
      select l.seq, null::pg_catalog.uuid as hold_id, l.remaining as amount, l.expires_at, null::pg_catalog.timestamptz as held_at
      from credits_private.credit_lots as l
      where l.user_id = p_user_id and l.expired_at is null and l.remaining > 0
      union all
      select p.lot_seq, p.hold_id, p.amount, l.expires_at, h.created_at
      from credits_private.hold_lots as p
      join public.credit_holds as h on h.user_id = p.user_id and h.id = p.hold_id
      join credits_private.credit_lots as l on l.user_id = p.user_id and l.seq = p.lot_seq
      where p.user_id = p_user_id
    ) as s
    order by s.hold_id is not null, s.expires_at, s.seq, s.held_at, s.hold_id
  loop
    exit when v_debt <= 0;
    v_part := least(v_debt, v_lot.amount);
    if v_lot.hold_id is null then
      update credits_private.credit_lots as l
      set remaining = l.remaining - v_part
      where l.user_id = p_user_id and l.seq = v_lot.seq;
    elsif v_part < v_lot.amount then
      update credits_private.hold_lots as h
      set amount = h.amount - v_part
      where h.user_id = p_user_id and h.hold_id = v_lot.hold_id and h.lot_seq = v_lot.seq;
    else
      delete from credits_private.hold_lots as h
      where h.user_id = p_user_id and h.hold_id = v_lot.hold_id and h.lot_seq = v_lot.seq;
    end if;
    insert into credits_private.lot_allocations as t (user_id, origin_seq, seq, lot_seq, amount)
    values (p_user_id, p_origin_seq, p_seq, v_lot.seq, -v_part)
    on conflict (user_id, origin_seq, seq, lot_seq) do update
    set amount = t.amount + excluded.amount;
    v_debt := v_debt - v_part;
  end loop;
end;
$$;

comment on function credits_private.cover_debt(uuid, bigint, bigint) is
  'Takes from lots what the credits that never expire are below zero, for the ledger row p_seq.';

revoke all on function credits_private.cover_debt(uuid, bigint, bigint) from public, anon, authenticated, service_role;
