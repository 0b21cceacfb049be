-- expire_lots: takes what is left in the lots whose time has come by an instant, one ledger row a lot.
--
-- For lots that credits have just come back to, after their expiry, and for those that fall due now (settle_due). A row is dated
-- at the instant from which the credits were gone. Never makes a debt: no lot has credits while there is one.

create or replace function credits_private.expire_lots(
  p_user_id uuid,
  p_at timestamptz
)
  returns integer
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_lot record;
  v_row public.credit_transactions;
  v_rows integer := 0;
begin
  for v_lot in
    select l.seq, l.remaining
    from credits_private.credit_lots as l
    where l.user_id = p_user_id and l.expired_at is null and l.expires_at <= p_at
    order by l.expires_at, l.seq
  loop
    update credits_private.credit_lots as l
    set remaining = 0, expired_at = p_at
    where l.user_id = p_user_id and l.seq = v_lot.seq;
    if v_lot.remaining > 0 then
      v_row := credits_private.post(
        p_user_id, 'expiration', -v_lot.remaining, 'Credits expired', jsonb_build_object('lot', v_lot.seq), null, p_at, true
      );
      insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
      values (p_user_id, v_row.seq, v_row.seq, v_lot.seq, v_row.amount);
      v_rows := v_rows + 1;
    end if;
  end loop;
  return v_rows;
end;
$$;

comment on function credits_private.expire_lots(uuid, timestamptz) is
  'Writes the expiry of lots that ended by an instant, dated at it, and returns how many ledger rows that took.';

revoke all on function credits_private.expire_lots(uuid, timestamptz) from public, anon, authenticated, service_role;
