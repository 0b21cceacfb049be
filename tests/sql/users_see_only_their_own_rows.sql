-- Row level security shows each user their own balance and ledger, shows visitors nothing at all, and
-- services everything.

begin;
select plan(15);

insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000');

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select results_eq(
  'select user_id, credits_remaining from public.user_credits',
  $$ values ('ada00000-0000-4000-8000-000000000000'::uuid, 2::bigint) $$,
  'Ada sees her balance and no other.'
);
select results_eq(
  'select user_id, seq from public.credit_transactions order by seq',
  $$ values ('ada00000-0000-4000-8000-000000000000'::uuid, 1::bigint), ('ada00000-0000-4000-8000-000000000000', 2) $$,
  'Ada sees her ledger and no other.'
);
select is_empty(
  $$ select * from public.user_credits where user_id = 'bea00000-0000-4000-8000-000000000000' $$,
  'Asking for the balance of Bea shows nothing.'
);
select is_empty(
  $$ select * from public.credit_transactions where user_id = 'bea00000-0000-4000-8000-000000000000' $$,
  'Asking for the ledger of Bea shows nothing.'
);
select results_eq(
  'select c.credits_available from public.user_credits as c', 'values (2::bigint)',
  'What is available can be asked for like a column.'
);

select set_config('request.jwt.claims', '{"sub": "bea00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
select results_eq(
  'select user_id, credits_remaining from public.user_credits',
  $$ values ('bea00000-0000-4000-8000-000000000000'::uuid, 3::bigint) $$,
  'In the same session Bea sees hers.'
);

select set_config('request.jwt.claims', '', true);
select is_empty('select * from public.user_credits', 'Without claims no balance is seen.');
select is_empty('select * from public.credit_transactions', 'Without claims no ledger is seen.');
set local row_security = off;
select throws_ok(
  'select * from public.user_credits', '42501', null,
  'Switching row level security off shows nothing, it fails.'
);
set local row_security = on;

reset role;
set local role anon;
select throws_ok('select * from public.user_credits', '42501', null, 'A visitor may not look at balances.');
select throws_ok('select * from public.credit_transactions', '42501', null, 'A visitor may not look at the ledger.');
select throws_ok('select public.get_user_credits()', '42501', null, 'A visitor may not ask for a balance.');

reset role;
set local role service_role;
select is((select count(*) from public.user_credits), 2::bigint, 'A service sees every balance.');
select is((select count(*) from public.credit_transactions), 3::bigint, 'A service sees every ledger.');
select results_eq(
  'select c.credits_available from public.user_credits as c order by 1', 'values (2::bigint), (3)',
  'A service sees what is available to each.'
);

select * from finish();
rollback;
