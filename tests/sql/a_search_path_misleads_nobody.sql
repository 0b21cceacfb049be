-- Whoever calls may have a search path full of mischief: functions and an operator that answer wrongly, and
-- temporary tables named like ours. Every call answers as always, and the temporary tables stay as they were.

begin;
select plan(18);

insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
select public.add_credits_for('bea00000-0000-4000-8000-000000000000', 100);

create temp table user_credits (like public.user_credits);
create temp table credit_transactions (like public.credit_transactions);
create temp table settings (like credits_private.settings);
create temp table users (like auth.users);
insert into pg_temp.user_credits
values ('ada00000-0000-4000-8000-000000000000', 1000, 0, 1000, 0, 0, null, null, 1, null, null, '1999-01-01', '1999-01-01');
insert into pg_temp.settings values ('signup_bonus', '1000', 'integer', 0, 1000000, 'A lie');
grant all on pg_temp.user_credits, pg_temp.credit_transactions, pg_temp.settings, pg_temp.users to public;

create schema mischief;
create function mischief.clock_timestamp() returns timestamptz language sql as $$ select timestamptz '1999-01-01' $$;
create function mischief.length(text) returns integer language sql as $$ select 1 $$;
create function mischief.jsonb_typeof(jsonb) returns text language sql as $$ select 'object' $$;
create function mischief.uid() returns uuid language sql as $$ select 'bea00000-0000-4000-8000-000000000000'::uuid $$;
create function mischief.always(uuid, uuid) returns boolean language sql as $$ select true $$;
create function mischief.always(bigint, bigint) returns boolean language sql as $$ select true $$;
create operator mischief.= (function = mischief.always, leftarg = uuid, rightarg = uuid);
create operator mischief.>= (function = mischief.always, leftarg = bigint, rightarg = bigint);
grant usage on schema mischief to public;
grant execute on all functions in schema mischief to public;
set local search_path = mischief, pg_temp, pg_catalog, public, tap;

select ok(
  '00000000-0000-4000-8000-000000000000'::uuid = '11111111-0000-4000-8000-000000000000'::uuid and 1::bigint >= 2::bigint,
  'The mischief works: two users are the same, and one is at least two.'
);

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select is((select credits_remaining from user_credits), 1000::bigint, 'A table of that name without its schema is the temporary one.');

select is(
  (select row(c.user_id, c.credits_remaining, c.last_seq)::text from public.get_user_credits() as c),
  '(ada00000-0000-4000-8000-000000000000,3,1)',
  'A user has the balance that is in the books.'
);
select is(
  (select count(*) from public.user_credits), 1::bigint,
  'Row level security compares users as always.'
);
select is(
  (
    select row(t.user_id, t.seq, t.balance_after, t.created_at > '2020-01-01')::text
    from public.consume_credit(1, null, '{}', 'export-1') as t
  ),
  '(ada00000-0000-4000-8000-000000000000,2,2,t)',
  'A user spends credits from the books, at the real time.'
);
select is(
  (select t.seq from public.consume_credit(1, null, '{}', 'export-1') as t), 2::bigint,
  'A replay is found where it is.'
);
select throws_ok('select public.consume_credit(100)', 'PT402', 'insufficient_credits', 'Credits that are not there are refused.');
select throws_ok(
  format('select public.consume_credit(1, null, ''{}'', %L)', repeat('k', 256)),
  '22023', 'invalid_idempotency_key',
  'A key that is too long is refused.'
);
select throws_ok(
  $$ select public.consume_credit(1, null, '[]') $$, '22023', 'invalid_metadata',
  'Metadata that is no object is refused.'
);
select is(
  (select string_agg(t.seq::text, ' ') from public.get_transaction_history() as t), '2 1',
  'A history is that of the user.'
);
select is(
  (select t.user_id::text from public.get_operation('export-1') as t), 'ada00000-0000-4000-8000-000000000000',
  'An operation is that of the user.'
);
select is((select u.consumed from public.get_usage('2000-01-01') as u), 1::bigint, 'Usage is that of the user.');

reset role;
set local role service_role;
select is(
  (
    select row(t.user_id, t.balance_after)::text
    from public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5) as t
  ),
  '(ada00000-0000-4000-8000-000000000000,7)',
  'A service adds to the user whom it names.'
);
insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'bonus', 1);
select is(
  public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', 'infinity'), 8::bigint,
  'A row that a service inserts moves the balance of its user.'
);

reset role;
insert into auth.users (id, email) values ('deb00000-0000-4000-8000-000000000000', 'deb@example.com');
select is(
  (select c.credits_remaining from public.get_user_credits_for('deb00000-0000-4000-8000-000000000000') as c), 3::bigint,
  'The signup bonus is that of the real settings.'
);

set local role authenticated;
select is(
  (select (d.removed -> 'auth.users')::text from public.delete_user_account() as d), '1',
  'A user who leaves takes nobody along.'
);

reset role;
set local search_path = tap, public;
select results_eq(
  'select user_id, credits_remaining, last_seq from public.user_credits order by user_id',
  $$
    values
      ('bea00000-0000-4000-8000-000000000000'::uuid, 103::bigint, 2::bigint),
      ('deb00000-0000-4000-8000-000000000000', 3, 1)
  $$,
  'Everybody else has what they had.'
);
select is(
  (
    select array[
      (select sum(credits_remaining) from pg_temp.user_credits), (select count(*) from pg_temp.credit_transactions),
      (select count(*) from pg_temp.settings), (select count(*) from pg_temp.users)
    ]
  ),
  array[1000::numeric, 0, 1, 0],
  'Nothing was written into the temporary tables.'
);

select * from finish();
rollback;
