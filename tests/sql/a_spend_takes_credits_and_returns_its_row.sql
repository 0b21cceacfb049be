-- consume_credit takes credits from the signed-in user and answers with the ledger row that it wrote;
-- consume_credit_for does the same for a service, which names the user.

begin;
select plan(10);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;

select results_eq(
  $$
    select user_id, seq, type::text, amount, balance_after, description, metadata, idempotency_key collate "default"
    from public.consume_credit(2, 'An export', '{"pages": 4}', 'export-1')
  $$,
  $$
    values (
      'ada00000-0000-4000-8000-000000000000'::uuid, 2::bigint, 'consumption', -2::bigint, 1::bigint,
      'An export', '{"pages": 4}'::jsonb, 'export-1'
    )
  $$,
  'A spend answers with user, number, amount, balance and what the caller said about it.'
);
select results_eq(
  'select credits_remaining, credits_held, total_credits, used_credits, last_seq from public.get_user_credits()',
  'values (1::bigint, 0::bigint, 3::bigint, 2::bigint, 2::bigint)',
  'The balance is lower by what was spent, which now counts as used.'
);
select results_eq(
  $$ select t.* from public.credit_transactions as t where t.seq = 2 $$,
  $$ select * from public.get_operation('export-1') $$,
  'The answer is the row in the ledger.'
);
select results_eq(
  'select t.created_at from public.credit_transactions as t where t.seq = 2',
  'select a.updated_at from public.user_credits as a',
  'The ledger row and the balance carry the same instant.'
);
select ok(
  (select t.created_at > transaction_timestamp() from public.credit_transactions as t where t.seq = 2),
  'It is the instant of the spend, not the beginning of its transaction.'
);
select results_eq(
  'select seq, amount, balance_after, description, metadata, idempotency_key collate "default" from public.consume_credit()',
  $$ values (3::bigint, -1::bigint, 0::bigint, null::text, '{}'::jsonb, null::text) $$,
  'Without arguments a spend takes one credit and says nothing.'
);

reset role;
set local role service_role;

select results_eq(
  $$
    select seq, amount, balance_after
    from public.add_credits_for('ada00000-0000-4000-8000-000000000000', 10)
  $$,
  'values (4::bigint, 10::bigint, 10::bigint)',
  'A service adds ten credits.'
);
select results_eq(
  $$
    select user_id, seq, type::text, amount, balance_after, description, metadata, idempotency_key collate "default"
    from public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 4, 'A render', '{"frames": 9}', 'render-1')
  $$,
  $$
    values (
      'ada00000-0000-4000-8000-000000000000'::uuid, 5::bigint, 'consumption', -4::bigint, 6::bigint,
      'A render', '{"frames": 9}'::jsonb, 'render-1'
    )
  $$,
  'A service spends for the user whom it names.'
);
select results_eq(
  $$ select amount from public.consume_credit_for('ada00000-0000-4000-8000-000000000000') $$,
  'values (-1::bigint)',
  'A service too takes one credit when it names no amount.'
);

reset role;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
