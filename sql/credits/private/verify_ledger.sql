-- verify_ledger: proves that every balance is what its ledger says, row by row.
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
  violations (user_id, seq, rule, expected, found) as (
    select e.user_id, e.seq, 'seq_has_gap'::pg_catalog.text, e.expected_seq::numeric, e.seq::numeric
    from entries as e
    where e.seq <> e.expected_seq
    union all
    select e.user_id, e.seq, 'balance_breaks_chain', e.running_sum, e.balance_after
    from entries as e
    where e.balance_after <> e.running_sum
    union all
    select e.user_id, e.seq, 'amount_breaks_type', e.expected_sign * abs(e.amount), e.amount
    from entries as e
    where sign(e.amount) <> e.expected_sign
    union all
    select c.user_id, null, 'balance_is_not_sum', c.balance, c.stored_balance
    from accounts as c
    where c.exists and c.stored_balance <> c.balance
    union all
    select c.user_id, null, 'used_is_not_consumption', c.used, c.stored_used
    from accounts as c
    where c.exists and c.stored_used <> c.used
    union all
    select c.user_id, null, 'last_seq_is_not_last', c.last_seq, c.stored_last_seq
    from accounts as c
    where c.exists and c.stored_last_seq <> c.last_seq
    union all
    select c.user_id, null, 'ledger_without_account', 0, c.last_seq
    from accounts as c
    where not c.exists
    union all
    select
      coalesce(p.user_id, l.user_id),
      coalesce(p.seq, l.first_seq),
      'purchase_is_not_its_rows',
      coalesce(p.credits - p.refunded_credits, 0),
      coalesce(l.amount, 0)
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
  )
  select
    v.user_id,
    v.seq,
    v.rule,
    least(greatest(v.expected, -9223372036854775808), 9223372036854775807)::bigint,
    v.found::bigint
  from violations as v
  order by v.user_id, v.seq, v.rule;
end;
$$;

comment on function credits_private.verify_ledger(uuid) is
  'Every place where the books of a user, or of all when null, do not add up. No rows is the good answer.';

revoke all on function credits_private.verify_ledger(uuid) from public, anon, authenticated, service_role;
