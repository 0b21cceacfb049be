-- An idempotency key that comes back with another meaning is refused with PT422, since neither answer would
-- be right. Meaning is amount, type, description and metadata; metadata is compared as JSON, not as text.

begin;
select plan(19);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 20, 'purchase', null, 'A pack', '{"order": 7}', 'order-7');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 2, 'An export', '{"pages": 4, "size": {"w": 1, "h": 2}}', 'export-1');
create temp table before as select * from public.user_credits;

-- what a refused statement tells its caller
create function pg_temp.refusal(statement text)
  returns jsonb
  language plpgsql
as $$
declare
  v_detail text;
begin
  execute statement;
  return null;
exception
  when others then
    get stacked diagnostics v_detail = pg_exception_detail;
    return v_detail::jsonb;
end;
$$;

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;

select throws_ok(
  $$ select public.consume_credit(3, 'An export', '{"pages": 4, "size": {"w": 1, "h": 2}}', 'export-1') $$,
  'PT422', 'idempotency_key_reused', 'Another amount is another meaning.'
);
select throws_ok(
  $$ select public.consume_credit(2, 'A render', '{"pages": 4, "size": {"w": 1, "h": 2}}', 'export-1') $$,
  'PT422', 'idempotency_key_reused', 'Another description is another meaning.'
);
select throws_ok(
  $$ select public.consume_credit(2, null, '{"pages": 4, "size": {"w": 1, "h": 2}}', 'export-1') $$,
  'PT422', 'idempotency_key_reused', 'No description is another meaning.'
);
select throws_ok(
  $$ select public.consume_credit(2, 'An export', '{"pages": 4, "size": {"w": 1, "h": 3}}', 'export-1') $$,
  'PT422', 'idempotency_key_reused', 'Other metadata, however deep the difference, is another meaning.'
);
select throws_ok(
  $$ select public.consume_credit(2, 'An export', '{}', 'export-1') $$,
  'PT422', 'idempotency_key_reused', 'No metadata is another meaning.'
);
select throws_ok(
  $$ select public.consume_credit(2, 'A pack', '{"order": 7}', 'order-7') $$,
  'PT422', 'idempotency_key_reused', 'A spend under the key of a purchase is another meaning.'
);
select is(
  pg_temp.refusal($$ select public.consume_credit(3, 'An export', '{}', 'export-1') $$),
  '{"idempotency_key": "export-1", "seq": 3}',
  'The detail names the key and the row that has it.'
);
select throws_ok(
  $$ select public.consume_credit(22, 'An export', '{"pages": 4, "size": {"w": 1, "h": 2}}', 'export-1') $$,
  'PT422', 'idempotency_key_reused', 'Another meaning is said also when the credits would not suffice.'
);

select lives_ok(
  $$ select public.consume_credit(2, 'An export', '{"size": {"h": 2, "w": 1}, "pages": 4}', 'export-1') $$,
  'The same metadata with its keys in another order is a replay.'
);
select lives_ok(
  $$ select public.consume_credit(2, 'An export', '{"pages": 4.0, "size": {"w": 1.00, "h": 2e0}}', 'export-1') $$,
  'The same metadata with 4.0 for 4 is a replay.'
);
select lives_ok(
  $$ select public.consume_credit(2, 'An export', '{"pages": 9, "pages": 4, "size": {"w": 1, "h": 2}}', 'export-1') $$,
  'Of a key that metadata repeats the last counts, as everywhere in jsonb.'
);

reset role;
set local role service_role;

select lives_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 20, 'purchase', null, 'A pack', '{"order": 7.0}', 'order-7') $$,
  'The same addition is a replay.'
);
select throws_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 21, 'purchase', null, 'A pack', '{"order": 7}', 'order-7') $$,
  'PT422', 'idempotency_key_reused', 'An addition of another amount is another meaning.'
);
select throws_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 20, 'bonus', null, 'A pack', '{"order": 7}', 'order-7') $$,
  'PT422', 'idempotency_key_reused', 'An addition of another type is another meaning.'
);
select throws_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 20, 'purchase', null, 'Packs', '{"order": 7}', 'order-7') $$,
  'PT422', 'idempotency_key_reused', 'An addition with another description is another meaning.'
);
select throws_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 20, 'purchase', null, 'A pack', '{"order": 8}', 'order-7') $$,
  'PT422', 'idempotency_key_reused', 'An addition with other metadata is another meaning.'
);
select throws_ok(
  $$
    select public.add_credits_for(
      'ada00000-0000-4000-8000-000000000000', 2, 'bonus', null, 'An export', '{"pages": 4, "size": {"w": 1, "h": 2}}', 'export-1'
    )
  $$,
  'PT422', 'idempotency_key_reused', 'An addition under the key of a spend is another meaning.'
);

reset role;
select results_eq('select * from public.user_credits', 'select * from before', 'After all this the balance row is as it was.');
select is((select count(*) from public.credit_transactions), 3::bigint, 'The ledger has no row more.');

select * from finish();
rollback;
