-- A row that a service inserts into the ledger has to keep the rules of the calls: the sign that belongs to
-- its type, the limits, keys, metadata, and credits that are there.

begin;
select plan(44);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 97);
set local role service_role;

-- the sign of each type
select lives_ok(
  format($$ insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', %L, %s) $$, type, amount),
  format('A row %s of %s is accepted.', type, amount)
)
from (
  values
    ('purchase', 1),
    ('signup_bonus', 1),
    ('monthly_bonus', 1),
    ('bonus', 1),
    ('consumption', -1),
    ('refund', 1),
    ('clawback', -1),
    ('clawback_reversal', 1),
    ('expiration', -1),
    ('admin_adjustment', 1),
    ('admin_adjustment', -1)
) as allowed (type, amount);
select throws_ok(
  format($$ insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', %L, %s) $$, type, amount),
  '22023', 'invalid_amount',
  format('A row %s of %s is refused.', type, amount)
)
from (
  values
    ('purchase', -1),
    ('signup_bonus', -1),
    ('monthly_bonus', -1),
    ('bonus', -1),
    ('consumption', 1),
    ('refund', -1),
    ('clawback', 1),
    ('clawback_reversal', -1),
    ('expiration', 1),
    ('consumption', 0),
    ('admin_adjustment', 0)
) as refused (type, amount);

-- the limits of an amount
select throws_ok(
  format($$ insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', %L, %L) $$, type, amount),
  '22023', 'invalid_amount',
  format('A row %s of %s is refused.', type, coalesce(amount::text, 'null'))
)
from (
  values
    ('bonus', null::bigint),
    ('consumption', null),
    ('admin_adjustment', null),
    ('bonus', 1000000000001),
    ('bonus', 9223372036854775807),
    ('consumption', -1000000000001),
    ('admin_adjustment', -1000000000001),
    ('admin_adjustment', -9223372036854775808),
    ('consumption', -9223372036854775808)
) as refused (type, amount);

-- everything else
select throws_ok(
  $$ insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', null, 1) $$,
  '22023', 'invalid_argument', 'A row without a type is refused.'
);
select throws_ok(
  $$ insert into public.credit_transactions (user_id, type, amount) values (null, 'bonus', 1) $$,
  'PT401', 'not_authenticated', 'A row without a user is refused.'
);
select throws_ok(
  $$ insert into public.credit_transactions (user_id, type, amount) values ('fae00000-0000-4000-8000-000000000000', 'bonus', 1) $$,
  'PT404', 'account_not_found', 'A row for a user who does not exist is refused.'
);
select throws_ok(
  $$ insert into public.credit_transactions (user_id, type, amount, metadata) values ('ada00000-0000-4000-8000-000000000000', 'bonus', 1, '[]') $$,
  '22023', 'invalid_metadata', 'A row with metadata that is no object is refused.'
);
select throws_ok(
  $$ insert into public.credit_transactions (user_id, type, amount, metadata) values ('ada00000-0000-4000-8000-000000000000', 'bonus', 1, null) $$,
  '22023', 'invalid_metadata', 'A row with null for metadata is refused.'
);
select throws_ok(
  format($$ insert into public.credit_transactions (user_id, type, amount, description) values ('ada00000-0000-4000-8000-000000000000', 'bonus', 1, %L) $$, repeat('d', 501)),
  '22023', 'invalid_argument', 'A row with a description of 501 characters is refused.'
);
select throws_ok(
  $$ insert into public.credit_transactions (user_id, type, amount, idempotency_key) values ('ada00000-0000-4000-8000-000000000000', 'bonus', 1, 'credits:gift') $$,
  '22023', 'invalid_idempotency_key', 'A row with a key of the package is refused.'
);

-- what a balance allows
select throws_ok(
  $$ insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'consumption', -105) $$,
  'PT402', 'insufficient_credits', 'A consumption beyond the balance is refused.'
);
select throws_ok(
  $$ insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'expiration', -105) $$,
  'PT402', 'insufficient_credits', 'An expiration beyond the balance is refused.'
);
reset role;
update public.user_credits set credits_held = 3;
set local role service_role;
select throws_ok(
  $$ insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'consumption', -101) $$,
  'PT402', 'insufficient_credits', 'A consumption of credits that are held is refused.'
);
select lives_ok(
  $$
    insert into public.credit_transactions (user_id, type, amount)
    values
      ('ada00000-0000-4000-8000-000000000000', 'clawback', -105),
      ('ada00000-0000-4000-8000-000000000000', 'admin_adjustment', -1)
  $$,
  'A clawback and an adjustment may leave a debt.'
);

reset role;
select results_eq(
  'select credits_remaining, total_credits, used_credits from public.user_credits',
  'values (-3::bigint, -3::bigint, 0::bigint)',
  'Only what was accepted has moved the balance.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
