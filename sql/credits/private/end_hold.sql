-- end_hold: an active hold is captured, released or expired; its credits go where they belong.
--
-- What was captured takes its part of the lots that the hold had, soonest expiry first; the rest goes back to them.
-- The caller holds the lock of the balance, and has what expired meanwhile expire next (expire_lots).

create or replace function credits_private.end_hold(
  p_hold public.credit_holds,
  p_status public.credit_hold_status,
  p_at timestamptz,
  p_capture public.credit_transactions
)
  returns public.credit_holds
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_hold public.credit_holds;
  v_left bigint := coalesce(-p_capture.amount, 0);
  v_part bigint;
  v_lot pg_catalog.record;
begin
  update public.user_credits as a
  set credits_held = a.credits_held - p_hold.amount
  where a.user_id = p_hold.user_id;
  for v_lot in
    select h.lot_seq, h.amount, l.expires_at
    from credits_private.hold_lots as h
    join credits_private.credit_lots as l on l.user_id = h.user_id and l.seq = h.lot_seq
    where h.user_id = p_hold.user_id and h.hold_id = p_hold.id
    order by l.expires_at, l.seq
  loop
    v_part := least(v_left, v_lot.amount);
    if v_part > 0 then
      insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
      values (p_hold.user_id, p_capture.seq, p_capture.seq, v_lot.lot_seq, -v_part);
      v_left := v_left - v_part;
    end if;
    if v_part < v_lot.amount then
      update credits_private.credit_lots as l
      set remaining = l.remaining + v_lot.amount - v_part, expired_at = null
      where l.user_id = p_hold.user_id and l.seq = v_lot.lot_seq;
      if v_lot.expires_at > p_at then
        perform credits_private.due_by(p_hold.user_id, v_lot.expires_at);
      end if;
    end if;
  end loop;
  delete from credits_private.hold_lots as h where h.user_id = p_hold.user_id and h.hold_id = p_hold.id;
  update public.credit_holds as h
  set
    status = p_status,
    captured_amount = -p_capture.amount,
    seq = p_capture.seq,
    ended_at = p_at
  where h.user_id = p_hold.user_id and h.id = p_hold.id
  returning h.* into v_hold;
  return v_hold;
end;
$$;

comment on function credits_private.end_hold(public.credit_holds, public.credit_hold_status, timestamptz, public.credit_transactions) is
  'Ends an active hold and returns it; p_capture is its ledger row, or null for one that is not captured.';

revoke all on function credits_private.end_hold(public.credit_holds, public.credit_hold_status, timestamptz, public.credit_transactions)
  from public, anon, authenticated, service_role;
