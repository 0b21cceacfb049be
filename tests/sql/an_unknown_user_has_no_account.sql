-- For a user who is not in auth.users nothing is opened: PT404, and PT401 where the id is null. What only
-- reads the ledger answers that there is nothing.

begin;
select plan(17);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

select set_config('request.jwt.claims', '{"sub": "fae00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select throws_ok('select public.consume_credit()', 'PT404', 'account_not_found', 'A token of nobody spends nothing.');
select throws_ok('select public.get_user_credits()', 'PT404', 'account_not_found', 'A token of nobody has no balance.');

reset role;
set local role service_role;
select throws_ok(
  $$ select public.consume_credit_for('fae00000-0000-4000-8000-000000000000') $$, 'PT404', 'account_not_found',
  'A service cannot spend for nobody.'
);
select throws_ok(
  $$ select public.add_credits_for('fae00000-0000-4000-8000-000000000000', 1) $$, 'PT404', 'account_not_found',
  'A service cannot add to nobody.'
);
select throws_ok(
  $$ select public.get_user_credits_for('fae00000-0000-4000-8000-000000000000') $$, 'PT404', 'account_not_found',
  'Nobody has no balance.'
);
select throws_ok(
  $$ select public.explain_balance_for('fae00000-0000-4000-8000-000000000000') $$, 'PT404', 'account_not_found',
  'There is no balance of nobody to explain.'
);
select is_empty(
  $$ select * from public.get_transaction_history_for('fae00000-0000-4000-8000-000000000000') $$,
  'The history of nobody is empty.'
);
select is_empty(
  $$ select * from public.get_operation_for('fae00000-0000-4000-8000-000000000000', 'export-1') $$,
  'Nobody has done anything under a key.'
);
select results_eq(
  $$ select * from public.get_usage_for('fae00000-0000-4000-8000-000000000000', '2000-01-01') $$,
  'values (0::bigint, 0::bigint, 0::bigint)',
  'Nobody has spent nothing.'
);
select is(
  public.get_balance_at_for('fae00000-0000-4000-8000-000000000000', now()), 0::bigint,
  'The balance of nobody was always 0.'
);
select is_empty(
  $$ select * from public.verify_ledger('fae00000-0000-4000-8000-000000000000') $$,
  'The books of nobody add up.'
);

select throws_ok(
  'select public.consume_credit_for(null)', 'PT401', 'not_authenticated', 'Null cannot spend.'
);
select throws_ok(
  'select public.add_credits_for(null, 1)', 'PT401', 'not_authenticated', 'Null cannot be given anything.'
);
select throws_ok(
  'select public.delete_user_account_for(null)', 'PT401', 'not_authenticated', 'Null cannot be deleted.'
);
select throws_ok(
  'select public.get_user_credits_for(null)', 'PT404', 'account_not_found', 'Null has no balance.'
);

reset role;
select is((select count(*) from public.user_credits), 1::bigint, 'No account was opened.');
select is((select count(*) from public.credit_transactions), 1::bigint, 'No ledger row was written.');

select * from finish();
rollback;
