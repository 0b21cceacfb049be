-- expire_lots: takes what is left in the lots that end by an instant, one ledger row a lot.
--
-- A row is dated when its credits were gone: at the end of the lot, or at p_from where they came back to it only
-- then (a refund, a hold that ended). One statement, so that the balance moves once for any number of lots. Never
-- makes a debt: no lot has credits while there is one (cover_debt).

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
  v_rows integer;
begin
  with due as (
    select l.seq, l.remaining, l.expires_at, greatest(l.expires_at, p_from) as at
    from credits_private.credit_lots as l
    where l.user_id = p_user_id and l.expired_at is null and l.expires_at <= p_until
    order by l.expires_at, l.seq
    limit p_limit
  ),
  closed as (
    update credits_private.credit_lots as l
    set remaining = 0, expired_at = d.at
    from due as d
    where l.user_id = p_user_id and l.seq = d.seq
  ),
  entries as (
    select d.seq as lot_seq, d.remaining as amount, d.at, row_number() over w as place, sum(d.remaining) over w as total
    from due as d
    where d.remaining > 0
    window w as (order by d.expires_at, d.seq)
  ),
  moved as (
    update public.user_credits as a
    set
      credits_remaining = a.credits_remaining - s.total,
      total_credits = a.total_credits - s.total,
      last_seq = a.last_seq + s.places,
      updated_at = s.at
    from (
      select count(*) as places, sum(e.amount)::bigint as total, max(e.at) as at
      from entries as e
      having count(*) > 0
    ) as s
    where a.user_id = p_user_id
    returning a.last_seq - s.places as last_seq, a.credits_remaining + s.total as balance
  ),
  posted as (
    insert into public.credit_transactions (
      user_id, seq, amount, balance_after, created_at, type, description, metadata
    )
    select
      p_user_id, m.last_seq + e.place, -e.amount, m.balance - e.total, e.at, 'expiration', 'Credits expired',
      jsonb_build_object('lot', e.lot_seq)
    from moved as m
    cross join entries as e
  )
  insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
  select p_user_id, m.last_seq + e.place, m.last_seq + e.place, e.lot_seq, -e.amount
  from moved as m
  cross join entries as e;
  get diagnostics v_rows = row_count;
  return v_rows;
end;
$$;

comment on function credits_private.expire_lots(uuid, timestamptz, timestamptz, integer) is
  'Writes the expiry of lots that end by p_until, at most p_limit of them (null for all), dated no earlier than p_from, and returns how many ledger rows that took.';

revoke all on function credits_private.expire_lots(uuid, timestamptz, timestamptz, integer)
  from public, anon, authenticated, service_role;
