-- A user whom the trigger on auth.users missed is shown what opening the account would give, and whatever
-- comes first opens it: a spend, an addition, a row inserted by a service. Looking opens nothing.

begin;
select plan(13);

-- as replica, so that no trigger fires
set local session_replication_role = replica;
insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com'),
  ('deb00000-0000-4000-8000-000000000000', 'deb@example.com');
insert into auth.users (id, is_anonymous) values ('fae00000-0000-4000-8000-000000000000', true);
set local session_replication_role = origin;
select is_empty('select * from public.user_credits', 'Nobody has an account yet.');

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select results_eq(
  $$
    select user_id, credits_remaining, credits_held, total_credits, used_credits, monthly_bonus_credits, last_seq
    from public.get_user_credits()
  $$,
  $$
    values (
      'ada00000-0000-4000-8000-000000000000'::uuid,
      3::bigint, 0::bigint, 3::bigint, 0::bigint, 0::bigint, 0::bigint
    )
  $$,
  'Ada is shown the bonus before her account is open.'
);
select is(
  (select credits_available(c) from public.get_user_credits() as c), 3::bigint,
  'It is shown as available.'
);
select is_empty('select * from public.get_transaction_history()', 'Her history is empty.');
select is_empty('select * from public.user_credits', 'Looking has opened nothing.');
select results_eq(
  $$ select seq, amount, balance_after from public.consume_credit(1, null, '{}', 'export-1') $$,
  'values (2::bigint, -1::bigint, 2::bigint)',
  'Her first spend comes after the bonus.'
);
select results_eq(
  'select seq, type::text, amount, balance_after from public.get_transaction_history()',
  $$ values (2::bigint, 'consumption', -1::bigint, 2::bigint), (1, 'signup_bonus', 3, 3) $$,
  'The bonus is in her ledger.'
);

select set_config('request.jwt.claims', '{"sub": "fae00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
select is(
  (select credits_remaining from public.get_user_credits()), 0::bigint,
  'Fae, who is anonymous, is shown no bonus.'
);
select throws_ok(
  'select public.consume_credit()', 'PT402', 'insufficient_credits',
  'She has nothing to spend.'
);

reset role;
set local role service_role;
select results_eq(
  $$ select seq, amount, balance_after from public.add_credits_for('bea00000-0000-4000-8000-000000000000', 5) $$,
  'values (2::bigint, 5::bigint, 8::bigint)',
  'An addition opens the account of Bea, with the bonus.'
);
insert into public.credit_transactions (user_id, type, amount) values ('deb00000-0000-4000-8000-000000000000', 'bonus', 5);
select results_eq(
  $$
    select seq, type::text, balance_after
    from public.get_transaction_history_for('deb00000-0000-4000-8000-000000000000')
  $$,
  $$ values (2::bigint, 'bonus', 8::bigint), (1, 'signup_bonus', 3) $$,
  'An inserted row opens the account of Deb, with the bonus.'
);
select throws_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 3) $$,
  'PT402', 'insufficient_credits',
  'Nobody gets the bonus twice.'
);

reset role;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
