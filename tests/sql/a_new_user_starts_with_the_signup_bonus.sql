-- Whoever signs up has an account with 3 credits at once, and the ledger says where they come from.

begin;
select plan(6);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
select results_eq(
  $$
    select user_id, credits_remaining, credits_held, total_credits, used_credits, monthly_bonus_credits, last_seq
    from public.user_credits
  $$,
  $$
    values (
      'ada00000-0000-4000-8000-000000000000'::uuid,
      3::bigint, 0::bigint, 3::bigint, 0::bigint, 0::bigint, 1::bigint
    )
  $$,
  'A new user has 3 credits.'
);
select results_eq(
  $$
    select user_id, seq, type::text, amount, balance_after, idempotency_key collate "default", description, metadata
    from public.credit_transactions
  $$,
  $$
    values (
      'ada00000-0000-4000-8000-000000000000'::uuid, 1::bigint, 'signup_bonus', 3::bigint, 3::bigint,
      'credits:signup_bonus', 'Signup bonus', '{}'::jsonb
    )
  $$,
  'They are the first row of the ledger.'
);

insert into auth.users (id, email, phone)
values
  ('bea00000-0000-4000-8000-000000000000', null, '+491701234567'),
  ('deb00000-0000-4000-8000-000000000000', null, null);
select is(
  (select count(*) from public.user_credits where credits_remaining = 3), 3::bigint,
  'Users without an address get the same.'
);

select credits_private.open_account('ada00000-0000-4000-8000-000000000000');
update auth.users set email = 'ada@example.org' where id = 'ada00000-0000-4000-8000-000000000000';
update auth.users set is_anonymous = false;
select results_eq(
  'select count(*), sum(credits_remaining) from public.user_credits',
  'values (3::bigint, 9::numeric)',
  'Opening an account again, or changing the user, gives nothing more.'
);
select is(
  (select count(*) from public.credit_transactions where type = 'signup_bonus'), 3::bigint,
  'There is one bonus a user.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
