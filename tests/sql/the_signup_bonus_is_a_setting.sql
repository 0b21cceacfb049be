-- The setting signup_bonus says what accounts opened from now on start with; 0 gives an account and no
-- ledger row. Accounts that are open keep what they have.

begin;
select plan(6);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

select credits_private.set_setting('signup_bonus', '10');
insert into auth.users (id, email) values ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id, email) values ('deb00000-0000-4000-8000-000000000000', 'deb@example.com');

select results_eq(
  'select user_id, credits_remaining, last_seq from public.user_credits order by user_id',
  $$
    values
      ('ada00000-0000-4000-8000-000000000000'::uuid, 3::bigint, 1::bigint),
      ('bea00000-0000-4000-8000-000000000000', 10, 1),
      ('deb00000-0000-4000-8000-000000000000', 0, 0)
  $$,
  'Each account starts with the bonus of its time.'
);
select is_empty(
  $$ select * from public.credit_transactions where user_id = 'deb00000-0000-4000-8000-000000000000' $$,
  'A bonus of 0 leaves no ledger row.'
);

select credits_private.set_setting('signup_bonus', '5');
select results_eq(
  'select sum(credits_remaining) from public.user_credits', 'values (13::numeric)',
  'Another bonus changes no account that is open.'
);

set local session_replication_role = replica;
insert into auth.users (id, email) values ('fae00000-0000-4000-8000-000000000000', 'fae@example.com');
set local session_replication_role = origin;
set local role service_role;
select is(
  (select credits_remaining from public.get_user_credits_for('fae00000-0000-4000-8000-000000000000')), 5::bigint,
  'A user whose account is not open yet is shown the bonus of now.'
);
select is(
  (select balance_after from public.consume_credit_for('fae00000-0000-4000-8000-000000000000')), 4::bigint,
  'The first spend opens the account with it.'
);

reset role;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
