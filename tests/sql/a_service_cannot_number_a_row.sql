-- A service says what happened; number, balance and time are the database's to say. Naming one of these
-- columns is a lack of privilege, whatever the value.

begin;
select plan(8);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
set local role service_role;

select throws_ok(
  $$
    insert into public.credit_transactions (user_id, type, amount, seq)
    values ('ada00000-0000-4000-8000-000000000000', 'bonus', 1, 2)
  $$,
  '42501', null,
  'A service cannot give a number.'
);
select throws_ok(
  $$
    insert into public.credit_transactions (user_id, type, amount, seq)
    values ('ada00000-0000-4000-8000-000000000000', 'bonus', 1, null)
  $$,
  '42501', null,
  'A service cannot give null for a number.'
);
select throws_ok(
  $$
    insert into public.credit_transactions (user_id, type, amount, balance_after)
    values ('ada00000-0000-4000-8000-000000000000', 'bonus', 1, 1000)
  $$,
  '42501', null,
  'A service cannot give a balance.'
);
select throws_ok(
  $$
    insert into public.credit_transactions (user_id, type, amount, created_at)
    values ('ada00000-0000-4000-8000-000000000000', 'bonus', 1, '1999-01-01')
  $$,
  '42501', null,
  'A service cannot give a time.'
);
select throws_ok(
  $$
    insert into public.credit_transactions
    values ('ada00000-0000-4000-8000-000000000000', 2, 1, 4, now(), 'bonus')
  $$,
  '42501', null,
  'A service cannot insert a whole row.'
);
select throws_ok(
  $$
    insert into public.user_credits (user_id, credits_remaining, total_credits)
    values ('ada00000-0000-4000-8000-000000000000', 1000, 1000)
  $$,
  '42501', null,
  'A service cannot insert a balance.'
);

reset role;
select is((select credits_remaining from public.user_credits), 3::bigint, 'The balance is as it was.');
select is((select count(*) from public.credit_transactions), 1::bigint, 'The ledger is as it was.');

select * from finish();
rollback;
