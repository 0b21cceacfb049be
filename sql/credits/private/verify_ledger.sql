-- verify_ledger: proves that balances, lots and holds are what the ledger says, row by row.
--
-- One statement, so one snapshot: it may run beside spending and reports no half of a movement. It takes
-- no lock and writes nothing. Every rule is recomputed from the rows, in numeric, so that no planted figure
-- makes it fail instead of report; nothing that the engine stored to help itself is believed.

create or replace function credits_private.verify_ledger(p_user_id uuid)
  returns setof public.ledger_violation
  language plpgsql
  stable
  rows 10
  set search_path = ''
as $$
begin
  return query
  with entries as (
    select
      t.user_id,
      t.seq,
      t.amount::numeric as amount,
      t.balance_after,
      case
        when t.type in ('consumption', 'clawback', 'expiration') then -1
        when t.type = 'admin_adjustment' then sign(t.amount::numeric)
        else 1
      end as expected_sign,
      case when t.type in ('consumption', 'refund') then -t.amount::numeric else 0 end as used,
      row_number() over w as expected_seq,
      sum(t.amount) over w as running_sum
    from public.credit_transactions as t
    where p_user_id is null or t.user_id = p_user_id
    window w as (partition by t.user_id order by t.seq)
  ),
  sums as (
    select e.user_id, max(e.seq) as last_seq, sum(e.amount) as balance, sum(e.used) as used
    from entries as e
    group by e.user_id
  ),
  accounts as (
    select
      coalesce(a.user_id, s.user_id) as user_id,
      a.user_id is not null as exists,
      a.last_seq as stored_last_seq,
      a.credits_remaining as stored_balance,
      a.used_credits as stored_used,
      coalesce(s.last_seq, 0) as last_seq,
      coalesce(s.balance, 0) as balance,
      coalesce(s.used, 0) as used
    from (select c.* from public.user_credits as c where p_user_id is null or c.user_id = p_user_id) as a
    full join sums as s on s.user_id = a.user_id
  ),
  lots as (
    select
      coalesce(l.user_id, m.user_id) as user_id,
      coalesce(l.seq, m.lot_seq) as seq,
      l.granted,
      coalesce(l.remaining, 0) as remaining,
      l.expires_at,
      l.expired_at,
      coalesce(l.granted, 0) + coalesce(m.moved, 0) as expected,
      coalesce(m.held, 0) as held
    from (select c.* from credits_private.credit_lots as c where p_user_id is null or c.user_id = p_user_id) as l
    full join (
      select s.user_id, s.lot_seq, sum(s.amount) as moved, sum(s.held) as held
      from (
        select t.user_id, t.lot_seq, t.amount, 0 as held
        from credits_private.lot_allocations as t
        where t.lot_seq <> 0 and (p_user_id is null or t.user_id = p_user_id)
        union all
        select h.user_id, h.lot_seq, -h.amount, h.amount
        from credits_private.hold_lots as h
        where p_user_id is null or h.user_id = p_user_id
      ) as s
      group by s.user_id, s.lot_seq
    ) as m on m.user_id = l.user_id and m.lot_seq = l.seq
  ),
  allocations as (
    select t.user_id, t.origin_seq, t.seq, sum(t.amount) as amount
    from credits_private.lot_allocations as t
    where p_user_id is null or t.user_id = p_user_id
    group by t.user_id, t.origin_seq, t.seq
  ),
  holds as (
    select h.*
    from public.credit_holds as h
    where p_user_id is null or h.user_id = p_user_id
  ),
  promises as (
    select
      a.user_id,
      a.credits_remaining,
      a.credits_held,
      a.next_due_at,
      d.due_at,
      coalesce(l.in_lots, 0) as in_lots,
      coalesce(h.held, 0) as held,
      least(l.first_due_at, h.first_due_at) as first_due_at
    from (select c.* from public.user_credits as c where p_user_id is null or c.user_id = p_user_id) as a
    left join credits_private.due_accounts as d on d.user_id = a.user_id
    left join (
      select
        s.user_id, sum(s.remaining + s.held) as in_lots, min(s.expires_at) filter (where s.remaining > 0) as first_due_at
      from lots as s
      group by s.user_id
    ) as l on l.user_id = a.user_id
    left join (
      select s.user_id, sum(s.amount) as held, min(s.expires_at) as first_due_at
      from holds as s
      where s.status = 'active'
      group by s.user_id
    ) as h on h.user_id = a.user_id
  ),
  violations (user_id, seq, rule, expected, found, hold_id) as (
    select e.user_id, e.seq, 'seq_has_gap'::pg_catalog.text, e.expected_seq::numeric, e.seq::numeric, null::pg_catalog.uuid
    from entries as e
    where e.seq <> e.expected_seq
    union all
    select e.user_id, e.seq, 'balance_breaks_chain', e.running_sum, e.balance_after, null
    from entries as e
    where e.balance_after <> e.running_sum
    union all
    select e.user_id, e.seq, 'amount_breaks_type', e.expected_sign * abs(e.amount), e.amount, null
    from entries as e
    where sign(e.amount) <> e.expected_sign
    union all
    select c.user_id, null, 'balance_is_not_sum', c.balance, c.stored_balance, null
    from accounts as c
    where c.exists and c.stored_balance <> c.balance
    union all
    select c.user_id, null, 'used_is_not_consumption', c.used, c.stored_used, null
    from accounts as c
    where c.exists and c.stored_used <> c.used
    union all
    select c.user_id, null, 'last_seq_is_not_last', c.last_seq, c.stored_last_seq, null
    from accounts as c
    where c.exists and c.stored_last_seq <> c.last_seq
    union all
    select c.user_id, null, 'ledger_without_account', 0, c.last_seq, null
    from accounts as c
    where not c.exists
    union all
    select
      coalesce(p.user_id, l.user_id),
      coalesce(p.seq, l.first_seq),
      'purchase_is_not_its_rows',
      coalesce(p.credits - p.refunded_credits, 0),
      coalesce(l.amount, 0),
      null
    from (
      select b.*
      from public.purchase_transactions as b
      where b.seq is not null and (p_user_id is null or b.user_id = p_user_id)
    ) as p
    full join (
      select
        t.user_id,
        t.metadata ->> 'store' as store,
        t.metadata ->> 'environment' as environment,
        t.metadata ->> 'transaction_id' as transaction_id,
        t.metadata ->> 'product_id' as product_id,
        min(t.seq) as first_seq,
        sum(t.amount) as amount
      from public.credit_transactions as t
      where (p_user_id is null or t.user_id = p_user_id)
        and t.metadata ?& array['store', 'environment', 'transaction_id', 'product_id']
        and (t.idempotency_key like 'credits:purchase:%' or t.type in ('clawback', 'clawback_reversal'))
      group by 1, 2, 3, 4, 5
    ) as l
      on (l.user_id, l.store, l.environment, l.transaction_id, l.product_id)
        = (p.user_id, p.store, p.environment, p.transaction_id, p.product_id)
    where coalesce(l.amount, 0) <> coalesce(p.credits - p.refunded_credits, 0)
    union all
    select l.user_id, l.seq, 'lot_is_not_its_rows', l.expected, l.remaining, null
    from lots as l
    where l.remaining <> l.expected
    union all
    select l.user_id, l.seq, 'lot_is_not_its_grant', coalesce(t.amount, 0), coalesce(l.granted, 0), null
    from lots as l
    left join public.credit_transactions as t on t.user_id = l.user_id and t.seq = l.seq
    where l.granted is distinct from t.amount or l.granted is null
    union all
    select l.user_id, l.seq, 'lot_expired_with_credits', 0, l.remaining, null
    from lots as l
    where l.expired_at is not null and l.remaining <> 0
    union all
    select c.user_id, c.seq, 'allocation_exceeds_row', coalesce(t.amount, 0), c.amount, null
    from allocations as c
    left join public.credit_transactions as t on t.user_id = c.user_id and t.seq = c.seq
    where abs(c.amount) > coalesce(abs(t.amount::numeric), 0)
      or t.type = 'expiration' and t.metadata ? 'lot' and c.amount <> t.amount
    union all
    select c.user_id, c.seq, 'refund_is_not_its_parts', t.amount, c.amount, null
    from allocations as c
    join public.credit_transactions as t on t.user_id = c.user_id and t.seq = c.seq
    where t.type = 'refund' and c.origin_seq <> c.seq and c.amount <> t.amount
    union all
    select c.user_id, c.origin_seq, 'refund_exceeds_consumption', -t.amount, sum(c.amount), null
    from allocations as c
    join public.credit_transactions as t on t.user_id = c.user_id and t.seq = c.origin_seq
    where t.type = 'consumption' and c.origin_seq <> c.seq
    group by c.user_id, c.origin_seq, t.amount
    having sum(c.amount) > -t.amount
    union all
    select m.user_id, null, 'lots_exceed_balance', greatest(m.credits_remaining, 0), m.in_lots, null
    from promises as m
    where m.in_lots > greatest(m.credits_remaining, 0)
    union all
    select m.user_id, null, 'held_is_not_holds', m.held, m.credits_held, null
    from promises as m
    where m.held <> m.credits_held
    union all
    select
      m.user_id, null, 'due_is_late', floor(extract(epoch from m.first_due_at)), floor(extract(epoch from m.next_due_at)), null
    from promises as m
    where (m.next_due_at <= m.first_due_at) is not true and m.first_due_at is not null
    union all
    select
      m.user_id, null, 'due_is_not_queued', floor(extract(epoch from m.next_due_at)), floor(extract(epoch from m.due_at)), null
    from promises as m
    where m.next_due_at is distinct from m.due_at
    union all
    select h.user_id, h.seq, 'capture_is_not_its_row', coalesce(-t.amount, 0), h.captured_amount, h.id
    from holds as h
    left join public.credit_transactions as t on t.user_id = h.user_id and t.seq = h.seq and t.type = 'consumption'
    where h.status = 'captured' and h.captured_amount is distinct from -t.amount
    union all
    select h.user_id, h.seq, 'capture_exceeds_hold', h.amount, h.captured_amount, h.id
    from holds as h
    where h.captured_amount > h.amount
    union all
    select h.user_id, null, 'hold_without_account', 0, h.amount, h.id
    from holds as h
    where not exists (select from public.user_credits as a where a.user_id = h.user_id)
    union all
    select
      coalesce(h.user_id, p.user_id), null, 'hold_is_not_its_lots',
      case when h.status = 'active' then h.amount else 0 end, p.amount, p.hold_id
    from (
      select q.user_id, q.hold_id, sum(q.amount) as amount
      from credits_private.hold_lots as q
      where p_user_id is null or q.user_id = p_user_id
      group by q.user_id, q.hold_id
    ) as p
    left join holds as h on h.user_id = p.user_id and h.id = p.hold_id
    where p.amount > case when h.status = 'active' then h.amount else 0 end
  )
  select
    v.user_id,
    v.seq,
    v.rule,
    least(greatest(v.expected, -9223372036854775808), 9223372036854775807)::bigint,
    v.found::bigint,
    v.hold_id
  from violations as v
  order by v.user_id, v.seq, v.rule, v.hold_id;
end;
$$;

comment on function credits_private.verify_ledger(uuid) is
  'Every place where the books of a user, or of all when null, do not add up. No rows is the good answer.';

revoke all on function credits_private.verify_ledger(uuid) from public, anon, authenticated, service_role;
