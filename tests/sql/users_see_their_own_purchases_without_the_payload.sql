-- A user reads their own purchases and entitlements and nobody else's, and no payload; nobody writes either of them.

begin;
select plan(15);

insert into auth.users (id)
values ('ada00000-0000-4000-8000-000000000000'), ('bea00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, 'pro', null, null, null);
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'own', 'a', 'pack', payload => '{"receipt": "private"}');
select public.record_purchase_for('bea00000-0000-4000-8000-000000000000', 'own', 'b', 'pack');
create temp table attempts (statement text);
insert into attempts
values
  ($$ insert into public.purchase_transactions (user_id) values ('ada00000-0000-4000-8000-000000000000') $$),
  ($$ update public.purchase_transactions set credits = 1000 $$),
  ($$ delete from public.user_entitlements $$),
  ($$ update public.user_entitlements set active_until = null $$);
grant select on attempts to authenticated, service_role, anon;

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select results_eq(
  'select transaction_id, credits, status::text from public.purchase_transactions', $$ values ('a', 100::bigint, 'completed') $$,
  'Ada sees what Ada bought.'
);
select throws_ok('select payload from public.purchase_transactions', '42501', null, 'Not where it came from.');
select throws_ok('select * from public.purchase_transactions', '42501', null, 'Nor all of it at once.');
select results_eq(
  'select user_id, entitlement from public.user_entitlements', $$ values ('ada00000-0000-4000-8000-000000000000'::uuid, 'pro') $$,
  'Ada sees what Ada may use.'
);
select ok(public.has_entitlement('pro'), 'Ada may use it.');
select throws_ok(statement, '42501', null, format('A user cannot%s.', statement)) from attempts;
select set_config('request.jwt.claims', '', true);
select throws_ok($$ select public.has_entitlement('pro') $$, 'PT401', 'not_authenticated', 'Nobody may use nothing.');

reset role;
set local role service_role;
select results_eq(
  'select transaction_id, payload from public.purchase_transactions order by 1',
  $$ values ('a', '{"receipt": "private"}'::jsonb), ('b', '{}') $$,
  'Services see every purchase, payload included.'
);
select throws_ok(statement, '42501', null, format('A service cannot%s.', statement)) from attempts;

select * from finish();
rollback;
