-- A service may add a row to the ledger by hand: the database numbers it, moves the balance and fills in the
-- rest, as if the matching call had been made.

begin;
select plan(9);

insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
set local role service_role;

insert into public.credit_transactions (user_id, type, amount, description, metadata, idempotency_key)
values ('ada00000-0000-4000-8000-000000000000', 'purchase', 10, 'A pack', '{"order": 7}', 'order-7');
select results_eq(
  $$
    select seq, type::text, amount, balance_after, description, metadata, idempotency_key collate "default"
    from public.credit_transactions
    where user_id = 'ada00000-0000-4000-8000-000000000000'
    order by seq desc
    limit 1
  $$,
  $$ values (2::bigint, 'purchase', 10::bigint, 13::bigint, 'A pack', '{"order": 7}'::jsonb, 'order-7') $$,
  'An inserted purchase is numbered and says what the balance is after it.'
);
select results_eq(
  $$
    select credits_remaining, total_credits, used_credits, last_seq
    from public.user_credits
    where user_id = 'ada00000-0000-4000-8000-000000000000'
  $$,
  'values (13::bigint, 13::bigint, 0::bigint, 2::bigint)',
  'It moves the balance.'
);
select results_eq(
  $$ select created_at from public.credit_transactions where idempotency_key = 'order-7' $$,
  $$ select updated_at from public.user_credits where user_id = 'ada00000-0000-4000-8000-000000000000' $$,
  'It carries the instant at which the balance moved.'
);

insert into public.credit_transactions (user_id, type, amount)
values ('ada00000-0000-4000-8000-000000000000', 'consumption', -4);
select results_eq(
  $$
    select credits_remaining, total_credits, used_credits, last_seq
    from public.user_credits
    where user_id = 'ada00000-0000-4000-8000-000000000000'
  $$,
  'values (9::bigint, 13::bigint, 4::bigint, 3::bigint)',
  'An inserted consumption counts as used.'
);

insert into public.credit_transactions (user_id, type, amount)
values
  ('ada00000-0000-4000-8000-000000000000', 'refund', 1),
  ('bea00000-0000-4000-8000-000000000000', 'bonus', 5),
  ('ada00000-0000-4000-8000-000000000000', 'bonus', 2),
  ('bea00000-0000-4000-8000-000000000000', 'consumption', -8);
select results_eq(
  $$
    select seq, type::text, amount, balance_after
    from public.credit_transactions
    where user_id = 'ada00000-0000-4000-8000-000000000000'
    order by seq
  $$,
  $$
    values
      (1::bigint, 'signup_bonus', 3::bigint, 3::bigint),
      (2, 'purchase', 10, 13),
      (3, 'consumption', -4, 9),
      (4, 'refund', 1, 10),
      (5, 'bonus', 2, 12)
  $$,
  'Several rows of one statement are posted one after the other.'
);
select results_eq(
  $$
    select seq, type::text, amount, balance_after
    from public.credit_transactions
    where user_id = 'bea00000-0000-4000-8000-000000000000'
    order by seq
  $$,
  $$
    values
      (1::bigint, 'signup_bonus', 3::bigint, 3::bigint),
      (2, 'bonus', 5, 8),
      (3, 'consumption', -8, 0)
  $$,
  'Each user has numbers of their own.'
);
select results_eq(
  $$
    select credits_remaining, total_credits, used_credits, last_seq
    from public.user_credits
    where user_id = 'ada00000-0000-4000-8000-000000000000'
  $$,
  'values (12::bigint, 15::bigint, 3::bigint, 5::bigint)',
  'A refund takes back what had counted as used.'
);
select results_eq(
  $$
    select seq, balance_after
    from public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 12)
  $$,
  'values (6::bigint, 0::bigint)',
  'A call continues where the inserted rows end.'
);

reset role;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
