-- A row that a service inserts into the ledger adds where its type adds and takes where its type takes; an
-- adjustment does either. Nothing has an amount of zero.

begin;
select plan(24);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

create temp table rows (place integer, type public.credit_transaction_type, amount bigint, accepted boolean);
insert into rows
values
  (1, 'purchase', 1, true),
  (2, 'signup_bonus', 1, true),
  (3, 'monthly_bonus', 1, true),
  (4, 'bonus', 1, true),
  (5, 'consumption', -1, true),
  (6, 'refund', 1, true),
  (7, 'clawback', -1, true),
  (8, 'clawback_reversal', 1, true),
  (9, 'expiration', -1, true),
  (10, 'admin_adjustment', 1, true),
  (11, 'admin_adjustment', -1, true),
  (12, 'purchase', -1, false),
  (13, 'signup_bonus', -1, false),
  (14, 'monthly_bonus', -1, false),
  (15, 'bonus', -1, false),
  (16, 'consumption', 1, false),
  (17, 'refund', -1, false),
  (18, 'clawback', 1, false),
  (19, 'clawback_reversal', -1, false),
  (20, 'expiration', 1, false),
  (21, 'consumption', 0, false),
  (22, 'admin_adjustment', 0, false);

create temp view statements as
select
  *,
  format(
    $$
      insert into public.credit_transactions (user_id, type, amount)
      values ('ada00000-0000-4000-8000-000000000000', %L, %s)
    $$,
    type, amount
  ) as statement
from rows;
grant select on statements to public;

set local role service_role;
select lives_ok(statement, format('A row %s of %s is accepted.', type, amount))
from statements
where accepted
order by place;
select throws_ok(statement, '22023', 'invalid_amount', format('A row %s of %s is refused.', type, amount))
from statements
where not accepted
order by place;

reset role;
select results_eq(
  'select credits_remaining, total_credits, used_credits, last_seq from public.user_credits',
  'values (6::bigint, 6::bigint, 0::bigint, 12::bigint)',
  'What was accepted has moved the balance, consumption and refund what counts as used.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
