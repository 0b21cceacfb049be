-- monthly_totals: what all ledgers came to, month by month; deleted accounts stay counted.
--
-- For accounts and reports of the owner. Reads the whole ledger. The sum of credits less all that was written off
-- (closed_accounts) is the sum of all balances.

create view credits_private.monthly_totals as
select m.month, m.type, sum(m.credits)::bigint as credits, sum(m.operations)::bigint as operations
from (
  select
    date_trunc('month', t.created_at at time zone 'UTC')::date as month,
    t.type,
    sum(t.amount) as credits,
    count(*) as operations
  from public.credit_transactions as t
  group by 1, 2
  union all
  select c.month, c.type, c.credits, c.operations
  from credits_private.closed_totals as c
) as m
group by m.month, m.type;

comment on view credits_private.monthly_totals is
  'Credits by month and type, of living and deleted accounts together.';
comment on column credits_private.monthly_totals.month is
  'The first day of the month, in UTC.';
comment on column credits_private.monthly_totals.type is
  'The type of the ledger rows.';
comment on column credits_private.monthly_totals.credits is
  'The sum of their amounts, in credits.';
comment on column credits_private.monthly_totals.operations is
  'How many they were.';

revoke all on table credits_private.monthly_totals from public, anon, authenticated, service_role;
