-- A row that a service inserts into the ledger is held to the limits of the calls: its amount, its words, its
-- key, its user, and the credits that are there.

begin;
select plan(22);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 97);

-- inserts a row as a service would
create function pg_temp.post(
  type public.credit_transaction_type,
  amount bigint,
  description text default null,
  metadata jsonb default '{}',
  idempotency_key text default null,
  user_id uuid default 'ada00000-0000-4000-8000-000000000000'
)
  returns void
  language sql
as $$
  insert into public.credit_transactions (user_id, type, amount, description, metadata, idempotency_key)
  values (user_id, type, amount, description, metadata, idempotency_key);
$$;

set local role service_role;

select throws_ok(
  format('select pg_temp.post(%L, %L)', type, amount), '22023', 'invalid_amount',
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
    ('consumption', -9223372036854775808),
    ('admin_adjustment', -1000000000001),
    ('admin_adjustment', -9223372036854775808)
) as amounts (type, amount);

select throws_ok(
  'select pg_temp.post(null, 1)', '22023', 'invalid_argument',
  'A row without a type is refused.'
);
select throws_ok(
  $$ select pg_temp.post('bonus', 1, user_id => null) $$, 'PT401', 'not_authenticated',
  'A row without a user is refused.'
);
select throws_ok(
  $$ select pg_temp.post('bonus', 1, user_id => 'fae00000-0000-4000-8000-000000000000') $$, 'PT404', 'account_not_found',
  'A row for a user who does not exist is refused.'
);
select throws_ok(
  $$ select pg_temp.post('bonus', 1, metadata => '[]') $$, '22023', 'invalid_metadata',
  'A row with metadata that is no object is refused.'
);
select throws_ok(
  $$ select pg_temp.post('bonus', 1, metadata => null) $$, '22023', 'invalid_metadata',
  'A row with null for metadata is refused.'
);
select throws_ok(
  format($$ select pg_temp.post('bonus', 1, description => %L) $$, repeat('d', 501)), '22023', 'invalid_argument',
  'A row with a description of 501 characters is refused.'
);
select throws_ok(
  $$ select pg_temp.post('bonus', 1, idempotency_key => 'credits:gift') $$, '22023', 'invalid_idempotency_key',
  'A row with a key of the package is refused.'
);

select throws_ok(
  $$ select pg_temp.post('consumption', -101) $$, 'PT402', 'insufficient_credits',
  'A consumption beyond the balance is refused.'
);
select throws_ok(
  $$ select pg_temp.post('expiration', -101) $$, 'PT402', 'insufficient_credits',
  'An expiration beyond the balance is refused.'
);
reset role;
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 3);
set local role service_role;
select throws_ok(
  $$ select pg_temp.post('consumption', -98) $$, 'PT402', 'insufficient_credits',
  'A consumption of credits that are held is refused.'
);

select lives_ok(
  $$ select pg_temp.post('clawback', -105), pg_temp.post('admin_adjustment', -1) $$,
  'A clawback and an adjustment may leave a debt.'
);

reset role;
select results_eq(
  'select credits_remaining, total_credits, used_credits, last_seq from public.user_credits',
  'values (-6::bigint, -6::bigint, 0::bigint, 4::bigint)',
  'Only what was accepted has moved the balance.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
