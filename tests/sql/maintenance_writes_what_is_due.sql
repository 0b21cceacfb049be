-- run_maintenance writes what has fallen due, at most so many items of it, and says what; what it leaves the next call
-- finds. It changes no balance that is shown.

begin;
select plan(17);

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

select set_config('test.now', '2026-03-01 00:00:00+00', true);
select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'), ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');

select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 1, expires_at => '2026-03-02 00:00:00+00') from generate_series(1, 5);
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1, '1 hour') from generate_series(1, 2);
select public.set_recurring_grant('daily', 4, 'day', 'ada00000-0000-4000-8000-000000000000');
select public.add_credits_for('bea00000-0000-4000-8000-000000000000', 10, expires_at => '2026-03-03 00:00:00+00');
select public.set_recurring_grant('pros', 6, 'week', entitlement => 'pro');
set local role service_role;
select is(public.run_maintenance(), row(0, 0, 1, 0, 0, 1)::public.maintenance_report, 'What is due already is written: a grant.');
select is(public.run_maintenance(), row(0, 0, 0, 0, 0, 0)::public.maintenance_report, 'Then there is nothing to do.');
reset role;
select is((select array_agg(due_at order by due_at) from credits_private.due_accounts), array['2026-03-01 01:00:00+00', '2026-03-03 00:00:00+00']::timestamptz[], 'The queue says when there will be.');

select set_config('test.now', '2026-03-03 12:00:00+00', true);
select throws_ok(format('select public.run_maintenance(%s)', items), '22023', 'invalid_argument', format('It takes no %s items.', items))
from unnest(array['0', '-1', '100001', 'null', '2147483647', '-2147483648']) as bounds (items);
create temp table shown as select (public.get_user_credits_for(a.user_id)).* from public.user_credits as a;
grant select on shown to service_role;
set local role service_role;
create temp table reports as select r.* from generate_series(1, 3) as n cross join lateral (select m.* from public.run_maintenance(n - n + 1) as m) as r;
select is(
  (select jsonb_agg(jsonb_build_array(accounts, expirations, holds, grants)) from reports), '[[1, 0, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0]]',
  'Asked for one item it does one at a time: a hold, a hold, and a lot.'
);
select is_empty(
  $$
    select s.credits_remaining, (public.get_user_credits_for(s.user_id)).credits_remaining
    from shown as s
    where (s.credits_remaining, s.credits_held, s.total_credits, s.used_credits) is distinct from (
      select (g.credits_remaining, g.credits_held, g.total_credits, g.used_credits) from public.get_user_credits_for(s.user_id) as g
    )
  $$,
  'Half done, every balance is shown as it was.'
);
select is_empty('select * from public.verify_ledger()', 'Half done, the books add up.');
select is(
  (
    select row(0, 0, 0, r.expirations + m.expirations, r.holds + m.holds, r.grants + m.grants)::public.maintenance_report
    from (select sum(expirations)::integer as expirations, sum(holds)::integer as holds, sum(grants)::integer as grants from reports) as r,
      public.run_maintenance() as m
  ),
  row(0, 0, 0, 7, 2, 1)::public.maintenance_report,
  'Together they write each thing once: seven lots that expire, two holds, and the grant of the present day.'
);
select is(public.run_maintenance(), row(0, 0, 0, 0, 0, 0)::public.maintenance_report, 'Then there is nothing to do.');
select is_empty(
  $$
    select s.user_id
    from shown as s
    join public.user_credits as a on a.user_id = s.user_id
    where (s.credits_remaining, s.credits_held, s.total_credits, s.used_credits)
      is distinct from (a.credits_remaining, a.credits_held, a.total_credits, a.used_credits)
  $$,
  'Each balance row says now what was shown before.'
);
select ok(
  (select bool_and(t.created_at >= lag) from (select created_at, lag(created_at, 1, created_at) over (partition by user_id order by seq) as lag from public.credit_transactions) as t),
  'Every ledger is in the order of time.'
);
reset role;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
