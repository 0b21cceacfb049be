-- Set again with other figures, a grant changes when its period ends; ended, it grants no later period, and what was due
-- stays due. The same set again changes nothing.

begin;
select plan(25);

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
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

-- what a refused call says: its token, and its DETAIL
create function pg_temp.refusal(statement text)
  returns jsonb
  language plpgsql
as $$
declare
  v_detail text;
begin
  execute statement;
  return null;
exception
  when others then
    get stacked diagnostics v_detail = pg_exception_detail;
    return jsonb_build_object(sqlerrm, nullif(v_detail, '')::jsonb);
end;
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
select is(
  pg_temp.refusal(format('select public.end_recurring_grant(%L, %L)', name, user_id)),
  jsonb_build_object('grant_not_found', jsonb_build_object('name', name)), format('Nothing is ended by %s.', coalesce(name, 'no name'))
)
from (values ('plan', 'ada00000-0000-4000-8000-000000000000'), ('plan', null), (null, 'ada00000-0000-4000-8000-000000000000')) as names (name, user_id);
select public.set_recurring_grant('plan', 10, 'month', 'ada00000-0000-4000-8000-000000000000');
select set_config('test.now', '2026-03-11 12:00:00+00', true);
select is(
  (public.set_recurring_grant('plan', 10, 'month', 'ada00000-0000-4000-8000-000000000000')).starts_at, '2026-03-10 12:00:00+00'::timestamptz, 'The same again is what it was.'
);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 10::bigint, 'And gives nothing twice.');

-- other figures
select results_eq(
  $$ select amount, rollover, starts_at, ends_at from public.set_recurring_grant('plan', 15, 'month', 'ada00000-0000-4000-8000-000000000000', rollover => true) $$,
  $$ values (15::bigint, true, '2026-04-01 00:00:00+00'::timestamptz, null::timestamptz) $$,
  'Other figures count from the next period on.'
);
select results_eq(
  $$ select credits_remaining, monthly_bonus_credits from public.get_user_credits_for('ada00000-0000-4000-8000-000000000000') $$,
  'values (10::bigint, 10::bigint)', 'Until then it is as it was.'
);
select results_eq(
  $$ select amount, starts_at from public.set_recurring_grant('plan', 20, 'month', 'ada00000-0000-4000-8000-000000000000') $$,
  $$ values (20::bigint, '2026-04-01 00:00:00+00'::timestamptz) $$, 'Changed again before, only the last change counts.'
);
select set_config('test.now', '2026-03-31 23:59:59.999999+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 10::bigint, 'Until the very end.');
select set_config('test.now', '2026-04-01 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 20::bigint, 'Then the old credits are gone and the new ones there.');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1);
select results_eq(
  'select credits_remaining, monthly_bonus_credits, last_bonus_date from public.user_credits',
  $$ values (19::bigint, 20::bigint, '2026-04-01 00:00:00+00'::timestamptz) $$,
  'The balance row says so.'
);

-- another period under the same name
select set_config('test.now', '2026-04-15 12:00:00+00', true);
select is(
  (public.set_recurring_grant('plan', 2, 'day', 'ada00000-0000-4000-8000-000000000000')).starts_at, '2026-05-01 00:00:00+00'::timestamptz, 'Another period begins when this one ends.'
);
select set_config('test.now', '2026-05-01 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 2::bigint, 'From then on it is the other one.');

-- the end
select set_config('test.now', '2026-05-01 12:00:00+00', true);
select is(
  (public.end_recurring_grant('plan', 'ada00000-0000-4000-8000-000000000000')).ends_at, '2026-05-01 12:00:00+00'::timestamptz, 'It ends now.'
);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 2::bigint, 'What was due is given, though nobody had written it.');
select throws_ok($$ select public.end_recurring_grant('plan', 'ada00000-0000-4000-8000-000000000000') $$, 'PT404', 'grant_not_found', 'It ends once.');
select set_config('test.now', '2026-05-02 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 0::bigint, 'The next day there is nothing.');
select is((select next_due_at from public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')), null, 'Nor will there be.');

-- begun anew
select set_config('test.now', '2026-05-02 12:00:00+00', true);
select public.set_recurring_grant('plan', 3, 'day', 'ada00000-0000-4000-8000-000000000000');
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 3::bigint, 'A name may be used again.');
select public.run_maintenance();
select public.end_recurring_grant('plan', 'ada00000-0000-4000-8000-000000000000');
select set_config('test.now', '2026-05-02 13:00:00+00', true);
select public.set_recurring_grant('plan', 4, 'day', 'ada00000-0000-4000-8000-000000000000');
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 3::bigint, 'In a period that was given it gives nothing more.');
select public.set_recurring_grant('plan', 6, 'day', 'ada00000-0000-4000-8000-000000000000');
select is((public.end_recurring_grant('plan', 'ada00000-0000-4000-8000-000000000000')).amount, 4::bigint, 'A change that has not come yet ends with it.');
select set_config('test.now', '2026-05-03 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 0::bigint, 'And never comes.');

-- for one instant, as a frozen clock has it
select public.set_recurring_grant('still', 1, 'day', 'ada00000-0000-4000-8000-000000000000');
select public.end_recurring_grant('still', 'ada00000-0000-4000-8000-000000000000');
select public.set_recurring_grant('still', 1, 'day', 'ada00000-0000-4000-8000-000000000000');
select lives_ok($$ select public.end_recurring_grant('still', 'ada00000-0000-4000-8000-000000000000') $$, 'Set, ended, set and ended at one instant it has ended.');
reset role;
select is(
  pg_temp.ledger(0),
  'monthly_bonus 10 03-10 12:00, expiration -10 04-01 00:00, monthly_bonus 20 04-01 00:00, consumption -1 04-01 00:00, '
  || 'expiration -19 05-01 00:00, bonus 2 05-01 00:00, expiration -2 05-02 00:00, bonus 3 05-02 12:00, expiration -3 05-03 00:00, '
  || 'bonus 1 05-03 00:00',
  'This is all that was ever given.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
