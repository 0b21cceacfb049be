-- A recurring grant of an entitlement is for whoever holds it, from the instant at which they do, once a period: also for
-- who gains it later, loses it and gains it again.

begin;
select plan(21);

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

select set_config('test.now', '2026-03-10 12:00:00+00', true);
select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'), ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');

create function pg_temp.ledger(after bigint, who uuid default 'ada00000-0000-4000-8000-000000000000')
  returns text
  language sql
as $$
  select string_agg(concat_ws(' ', t.type, t.amount, to_char(t.created_at at time zone 'UTC', 'MM-DD HH24:MI')), ', ' order by t.seq)
  from public.credit_transactions as t
  where t.user_id = who and t.seq > after
$$;

set local role service_role;
select public.grant_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro', '2026-05-15 00:00:00+00');
select results_eq(
  $$ select * from public.set_recurring_grant('pro', 50, 'month', entitlement => 'pro') $$,
  $$
    values (
      null::uuid, 'pro', 'pro', 50::bigint, 'month'::public.grant_period, false, '2026-03-10 12:00:00+00'::timestamptz, null::timestamptz
    )
  $$,
  'It belongs to nobody alone.'
);
select results_eq(
  $$ select credits_remaining, monthly_bonus_credits from public.get_user_credits_for('ada00000-0000-4000-8000-000000000000') $$, 'values (50::bigint, 50::bigint)', 'Who holds the entitlement has it at once.'
);
select is((public.get_user_credits_for('bea00000-0000-4000-8000-000000000000')).credits_remaining, 0::bigint, 'Who does not, does not.');
select set_config('test.now', '2026-03-20 08:00:00+00', true);
select public.grant_entitlement_for('bea00000-0000-4000-8000-000000000000', 'pro', '2026-03-25 00:00:00+00');
select is((public.get_user_credits_for('bea00000-0000-4000-8000-000000000000')).credits_remaining, 50::bigint, 'Who gains it later has it from then on.');
select is((public.consume_credit_for('bea00000-0000-4000-8000-000000000000', 50)).balance_after, 0::bigint, 'And can spend it.');
select is(pg_temp.ledger(0, 'bea00000-0000-4000-8000-000000000000'), 'monthly_bonus 50 03-20 08:00, consumption -50 03-20 08:00', 'It is dated at that instant.');

-- lapsed and gained again in the same month
select set_config('test.now', '2026-03-28 00:00:00+00', true);
select public.grant_entitlement_for('bea00000-0000-4000-8000-000000000000', 'pro', '2026-03-29 00:00:00+00');
select is((public.get_user_credits_for('bea00000-0000-4000-8000-000000000000')).credits_remaining, 0::bigint, 'Gained again in the same month it gives nothing more.');
select set_config('test.now', '2026-04-01 00:00:00+00', true);
select is((public.get_user_credits_for('bea00000-0000-4000-8000-000000000000')).credits_remaining, 0::bigint, 'Lapsed at the beginning of a month it gives nothing.');
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 50::bigint, 'Who holds it still has the new month, and not the old.');
select throws_ok($$ select public.consume_credit_for('bea00000-0000-4000-8000-000000000000') $$, 'PT402', 'insufficient_credits', 'Nor can anything be spent of it.');
select set_config('test.now', '2026-04-20 00:00:00+00', true);
select public.grant_entitlement_for('bea00000-0000-4000-8000-000000000000', 'pro');
select is((public.get_user_credits_for('bea00000-0000-4000-8000-000000000000')).credits_remaining, 50::bigint, 'Gained again in another month it gives that month.');
select public.run_maintenance();
select is(pg_temp.ledger(2, 'bea00000-0000-4000-8000-000000000000'), 'monthly_bonus 50 04-20 00:00', 'From the instant on at which it was.');
select is(pg_temp.ledger(0), 'monthly_bonus 50 04-01 00:00', 'For the other nobody had written anything before: of March nothing is caught up.');

-- held at the first of May, lapsed in the middle, read and written after
select set_config('test.now', '2026-05-20 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 50::bigint, 'What was due while it was held stays due after.');
select public.grant_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro', '2026-05-15 00:00:00+00');
select set_config('test.now', '2026-06-01 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 0::bigint, 'In the next month there is nothing.');

-- the end of the grant
select set_config('test.now', '2026-06-10 00:00:00+00', true);
select public.end_recurring_grant('pro');
select is((public.get_user_credits_for('bea00000-0000-4000-8000-000000000000')).credits_remaining, 50::bigint, 'Ended, it gives what was due before.');
select set_config('test.now', '2026-06-12 00:00:00+00', true);
select public.grant_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro', '2026-06-20 00:00:00+00');
select is(
  (public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 0::bigint,
  'Who gains the entitlement after that, in the same month, gets nothing.'
);
select set_config('test.now', '2026-07-01 00:00:00+00', true);
select is((public.get_user_credits_for('bea00000-0000-4000-8000-000000000000')).credits_remaining, 0::bigint, 'And nothing later.');
select public.run_maintenance();
select is(
  pg_temp.ledger(3, 'bea00000-0000-4000-8000-000000000000'),
  'expiration -50 05-01 00:00',
  'What nobody wrote while its period went on is not written after it.'
);

-- one of a user beside one of all, under one name
select public.grant_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro');
select public.set_recurring_grant('pro', 2, 'day', 'ada00000-0000-4000-8000-000000000000'), public.set_recurring_grant('pro', 1, 'day', entitlement => 'pro');
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 3::bigint, 'A grant of one user and one of all may have one name.');
reset role;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
