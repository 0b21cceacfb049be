-- expire_lots: takes what is left in the lots that end by an instant, one ledger row a lot.
--
-- A row is dated when its credits were gone: at the end of the lot, or at p_from where they came back to it only
-- then (a refund, a hold that ended). Never makes a debt: no lot has credits while there is one (cover_debt).

create or replace function credits_private.expire_lots(
  p_user_id uuid,
  p_from timestamptz,
  p_until timestamptz,
  p_limit integer
)
  returns integer
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_lot pg_catalog.record;
  v_row public.credit_transactions;
  v_rows integer := 0;
begin
  for v_lot in
    select l.seq, l.remaining, greatest(l.expires_at, p_from) as at
    from credits_private.credit_lots as l
    where l.user_id = p_user_id and l.expired_at is null and l.expires_at <= p_until
    order by l.expires_at, l.seq
    limit p_limit
  loop
    update credits_private.credit_lots as l
    set remaining = 0, expired_at = v_lot.at
    where l.user_id = p_user_id and l.seq = v_lot.seq;
    if v_lot.remaining > 0 then
      v_row := credits_private.post(
        p_user_id, 'expiration', -v_lot.remaining, 'Credits expired', jsonb_build_object('lot', v_lot.seq), null, v_lot.at, true
      );
      insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
      values (p_user_id, v_row.seq, v_row.seq, v_lot.seq, v_row.amount);
      v_rows := v_rows + 1;
    end if;
  end loop;
  return v_rows;
end;
$$;

comment on function credits_private.expire_lots(uuid, timestamptz, timestamptz, integer) is
  'Writes the expiry of lots that end by p_until, at most p_limit of them (null for all), dated no earlier than p_from, and returns how many ledger rows that took.';

revoke all on function credits_private.expire_lots(uuid, timestamptz, timestamptz, integer)
  from public, anon, authenticated, service_role;
