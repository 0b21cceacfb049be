-- Two users may use the same idempotency key; neither learns of the other or stands in the other's way.

begin;
select plan(7);

insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select results_eq(
  $$ select user_id, seq, amount from public.consume_credit(1, null, '{}', 'order-7') $$,
  $$ values ('ada00000-0000-4000-8000-000000000000'::uuid, 2::bigint, -1::bigint) $$,
  'Ada spends under a key.'
);

select set_config('request.jwt.claims', '{"sub": "bea00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
select is_empty($$ select * from public.get_operation('order-7') $$, 'For Bea nothing has that key.');
select results_eq(
  $$ select user_id, seq, amount from public.consume_credit(2, null, '{}', 'order-7') $$,
  $$ values ('bea00000-0000-4000-8000-000000000000'::uuid, 2::bigint, -2::bigint) $$,
  'Bea spends something else under the same key.'
);

reset role;
set local role service_role;
select results_eq(
  $$
    select user_id, amount
    from public.get_operation_for('ada00000-0000-4000-8000-000000000000', 'order-7')
  $$,
  $$ values ('ada00000-0000-4000-8000-000000000000'::uuid, -1::bigint) $$,
  'The key of Ada still names what she did.'
);
select throws_ok(
  $$ select public.add_credits_for('bea00000-0000-4000-8000-000000000000', 5, 'purchase', null, null, '{}', 'order-7') $$,
  'PT422', 'idempotency_key_reused',
  'A key that Bea took for herself is taken, for her alone.'
);

insert into public.credit_transactions (user_id, type, amount, idempotency_key)
values
  ('ada00000-0000-4000-8000-000000000000', 'bonus', 4, 'gift-1'),
  ('bea00000-0000-4000-8000-000000000000', 'bonus', 4, 'gift-1');
select results_eq(
  'select credits_remaining from public.user_credits order by user_id', 'values (6::bigint), (5)',
  'Rows that a service inserts under one key count for each of their users.'
);

reset role;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
