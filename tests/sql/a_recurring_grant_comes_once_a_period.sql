-- A recurring grant gives its credits once a day, week or month, in UTC; it counts from its instant on, and the next spend
-- or maintenance writes it. Periods that are over are never caught up.

begin;
select plan(28);

create or replace function credits_private.now()
  returns timestamptz
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  return current_setting('test.now');
end;
$$;

select set_config('test.now', '2026-01-31 15:00:00+00', true);
select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

-- what is left in each lot, by the row that granted it
create function pg_temp.lots()
  returns text
  language sql
as $$
  select string_agg(format('%s:%s', l.seq, l.remaining), ' ' order by l.seq) from credits_private.credit_lots as l
$$;

create function pg_temp.ledger(after bigint, who uuid default 'ada00000-0000-4000-8000-000000000000')
  returns text
  language sql
as $$
  select string_agg(concat_ws(' ', t.type, t.amount, to_char(t.created_at at time zone 'UTC', 'MM-DD HH24:MI')), ', ' order by t.seq)
  from public.credit_transactions as t
  where t.user_id = who and t.seq > after
$$;

set local role service_role;
select results_eq(
  $$ select * from public.set_recurring_grant('daily', 5, 'day', 'ada00000-0000-4000-8000-000000000000') $$,
  $$
    values (
      'ada00000-0000-4000-8000-000000000000'::uuid, 'daily', null::text, 5::bigint, 'day'::public.grant_period, false, '2026-01-31 15:00:00+00'::timestamptz,
      null::timestamptz
    )
  $$,
  'It answers with what was set, from now on.'
);
select public.set_recurring_grant('monthly', 20, 'month', 'ada00000-0000-4000-8000-000000000000', rollover => true);
select results_eq(
  $$ select credits_remaining, total_credits, monthly_bonus_credits, last_bonus_date, last_seq from public.get_user_credits_for('ada00000-0000-4000-8000-000000000000') $$,
  $$ values (25::bigint, 25::bigint, 20::bigint, '2026-01-31 15:00:00+00'::timestamptz, 1::bigint) $$,
  'It is shown at once, whole, for the period that has begun.'
);
reset role;
select is((select count(*) from public.credit_transactions), 1::bigint, 'And not written yet.');
select public.set_recurring_grant('weekly', 7, 'week', 'ada00000-0000-4000-8000-000000000000');
savepoint set;

-- the first spend writes it, and takes from what ends first
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 6);
select results_eq(
  $$
    select type::text, amount, idempotency_key collate "default", description, created_at
    from public.credit_transactions
    order by amount desc
  $$,
  $$
    values
      ('monthly_bonus', 20::bigint, 'credits:grant:user:monthly:month:2026-01-01', 'Recurring grant monthly', '2026-01-31 15:00:00+00'::timestamptz),
      ('bonus', 7, 'credits:grant:user:weekly:week:2026-01-26', 'Recurring grant weekly', '2026-01-31 15:00:00+00'),
      ('bonus', 5, 'credits:grant:user:daily:day:2026-01-31', 'Recurring grant daily', '2026-01-31 15:00:00+00'),
      ('consumption', -6, null, null, '2026-01-31 15:00:00+00')
  $$,
  'The first spend writes each, under a key made of name and period.'
);
select results_eq(
  'select granted, remaining, expires_at from credits_private.credit_lots order by granted',
  $$ values (5::bigint, 0::bigint, '2026-02-01 00:00:00+00'::timestamptz), (7, 6, '2026-02-02 00:00:00+00') $$,
  'What does not roll over is a lot that ends with its period, spent soonest first.'
);
select results_eq(
  'select credits_remaining, monthly_bonus_credits, last_bonus_date from public.user_credits',
  $$ values (26::bigint, 20::bigint, '2026-01-31 15:00:00+00'::timestamptz) $$,
  'The balance row says what comes monthly, and when it came last.'
);
select set_config('test.now', '2026-01-31 23:59:59.999999+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 26::bigint, 'Until the period ends there is no more.');
select public.run_maintenance();
select is((public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1)).seq, 5::bigint, 'Neither maintenance nor a spend writes any.');

select set_config('test.now', '2026-02-01 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 50::bigint, 'At midnight the day and the month begin anew.');
select is((public.run_maintenance()).grants, 2, 'Maintenance writes both.');
select is(pg_temp.ledger(5), 'bonus 5 02-01 00:00, monthly_bonus 20 02-01 00:00', 'Dated at midnight.');
select is((public.run_maintenance()).grants, 0, 'Once.');
select set_config('test.now', '2026-02-01 23:59:59.999999+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 50::bigint, 'The day is one day.');
select set_config('test.now', '2026-02-02 09:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 52::bigint, 'On Monday the week begins anew.');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1);
select is(
  pg_temp.ledger(7), 'expiration -5 02-02 00:00, expiration -5 02-02 00:00, bonus 5 02-02 00:00, bonus 7 02-02 00:00, consumption -1 02-02 09:00',
  'What was left of day and week expires before what comes next, as if somebody had been there at midnight.'
);
select is(public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', '2026-02-01 23:59:59.999999+00'), 50::bigint, 'The balance of the day before is what it was.');
select is(public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', '2026-02-02 00:00:00+00'), 52::bigint, 'So is that of midnight.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

-- two months in which nobody was there
select set_config('test.now', '2026-04-30 12:00:00+00', true);
select is(
  (public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 40 + 20 + 5 + 7::bigint, 'After two months only the present day, week and month are given.'
);
select is((public.run_maintenance()).grants, 3, 'Maintenance writes no more than is shown.');
select is((select last_bonus_date from public.user_credits), '2026-04-01 00:00:00+00'::timestamptz, 'The monthly one is of the first of this month.');
select is((select count(*) from public.credit_transactions where type = 'monthly_bonus'), 3::bigint, 'March is never caught up.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');
rollback to set;

-- nobody looked for two months
select set_config('test.now', '2026-03-31 12:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 52::bigint, 'Where nobody looked for two months there is one more of each.');
select is((public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 52)).balance_after, 0::bigint, 'All of it can be spent at once.');
select throws_ok($$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000') $$, 'PT402', 'insufficient_credits', 'And no more.');
select set_config('test.now', '2026-05-31 23:59:59+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 32::bigint, 'The 31st is a day like others.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
