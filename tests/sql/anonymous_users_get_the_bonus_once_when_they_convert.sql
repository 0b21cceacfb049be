-- An anonymous user has an account without credits. The signup bonus comes with the conversion to a real
-- user, once, however often the flag is turned.

begin;
select plan(7);

insert into auth.users (id, is_anonymous) values ('ada00000-0000-4000-8000-000000000000', true);
select results_eq(
  'select credits_remaining, last_seq from public.user_credits',
  'values (0::bigint, 0::bigint)',
  'An anonymous user has an account and no credits.'
);

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated", "is_anonymous": true}', true);
set local role authenticated;
select throws_ok(
  'select public.consume_credit()', 'PT402', 'insufficient_credits',
  'An anonymous user has nothing to spend.'
);

reset role;
update auth.users set is_anonymous = false, email = 'ada@example.com';
select results_eq(
  'select seq, type::text, amount, balance_after, idempotency_key collate "default" from public.credit_transactions',
  $$ values (1::bigint, 'signup_bonus', 3::bigint, 3::bigint, 'credits:signup_bonus') $$,
  'The conversion brings the bonus.'
);

update auth.users set is_anonymous = true;
update auth.users set is_anonymous = false;
update auth.users set is_anonymous = false;
select results_eq(
  'select credits_remaining, last_seq from public.user_credits',
  'values (3::bigint, 1::bigint)',
  'Converting again brings nothing.'
);

update auth.users set is_anonymous = true;
select results_eq(
  'select credits_remaining, last_seq from public.user_credits',
  'values (3::bigint, 1::bigint)',
  'Becoming anonymous takes nothing.'
);

-- a conversion in the same moment as other changes, with credits bought before it
insert into auth.users (id, is_anonymous) values ('bea00000-0000-4000-8000-000000000000', true);
select public.add_credits_for('bea00000-0000-4000-8000-000000000000', 5, 'purchase');
update auth.users set is_anonymous = false, email = 'bea@example.com' where id = 'bea00000-0000-4000-8000-000000000000';
select results_eq(
  $$
    select seq, type::text, amount, balance_after
    from public.credit_transactions
    where user_id = 'bea00000-0000-4000-8000-000000000000'
    order by seq
  $$,
  $$ values (1::bigint, 'purchase', 5::bigint, 5::bigint), (2, 'signup_bonus', 3, 8) $$,
  'What an anonymous user bought stays, and the bonus is added.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
