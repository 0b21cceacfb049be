-- Whoever lost the answer of a call asks for it by its idempotency key: the row that the call wrote, or no
-- row, and never the row of somebody else.

begin;
select plan(8);

insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select is_empty($$ select * from public.get_operation('export-1') $$, 'Before the call there is no row.');
select public.consume_credit(1, 'An export', '{}', 'export-1');
select public.consume_credit(1);
select results_eq(
  $$ select * from public.get_operation('export-1') $$,
  $$ select * from public.credit_transactions where seq = 2 $$,
  'After it there is the row that it wrote.'
);
select is_empty('select * from public.get_operation(null)', 'Null names no call, not even one without a key.');
select results_eq(
  $$ select seq, type::text from public.get_operation('credits:signup_bonus') $$,
  $$ values (1::bigint, 'signup_bonus') $$,
  'A key of the package can be asked for.'
);

select set_config('request.jwt.claims', '{"sub": "bea00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
select is_empty($$ select * from public.get_operation('export-1') $$, 'Bea has no such call.');

reset role;
set local role service_role;
select results_eq(
  $$ select seq, amount from public.get_operation_for('ada00000-0000-4000-8000-000000000000', 'export-1') $$,
  'values (2::bigint, -1::bigint)',
  'A service asks for a user whom it names.'
);
select is_empty(
  $$ select * from public.get_operation_for('bea00000-0000-4000-8000-000000000000', 'export-1') $$,
  'The key of one user is nothing for another.'
);
select is_empty(
  $$ select * from public.get_operation_for(null, 'export-1') $$,
  'Without a user there is no row.'
);

select * from finish();
rollback;
