-- A call that is refused leaves no trace, so the same key may be sent again once the reason is gone.

begin;
select plan(6);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select throws_ok(
  $$ select public.consume_credit(5, null, '{}', 'export-1') $$,
  'PT402', 'insufficient_credits',
  'Five credits of three are refused.'
);
select throws_ok(
  $$ select public.consume_credit(1, null, '[]', 'export-1') $$,
  '22023', 'invalid_metadata',
  'Metadata that is no object is refused.'
);
select is_empty($$ select * from public.get_operation('export-1') $$, 'Nothing has the key yet.');

reset role;
set local role service_role;
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 2);
reset role;
set local role authenticated;
select results_eq(
  $$ select amount, balance_after from public.consume_credit(5, null, '{}', 'export-1') $$,
  'values (-5::bigint, 0::bigint)',
  'With enough credits the same call succeeds.'
);
select results_eq(
  $$ select amount, balance_after from public.consume_credit(5, null, '{}', 'export-1') $$,
  'values (-5::bigint, 0::bigint)',
  'From then on it is a replay.'
);
select is((select count(*) from public.credit_transactions where amount = -5), 1::bigint, 'It was taken once.');

select * from finish();
rollback;
