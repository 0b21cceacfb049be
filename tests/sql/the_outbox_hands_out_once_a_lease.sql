-- claim_outbox hands out what waits, oldest first, to one worker for the time of the lease; ack_outbox removes what is done;
-- what a worker left comes again.

begin;
select plan(24);

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
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

select public.set_alert_for('ada00000-0000-4000-8000-000000000000', 3);
create function pg_temp.cross() returns void language sql as $$
  select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5);
  select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 5);
$$;
select pg_temp.cross();
select set_config('test.now', '2026-03-01 00:01:00+00', true);
select pg_temp.cross();
select set_config('test.now', '2026-03-01 00:02:00+00', true);
select pg_temp.cross();
set local role service_role;
create temp table claims (worker text, id uuid, kind text, user_id uuid, payload jsonb, attempts integer, created_at timestamptz);
create function pg_temp.claim(worker text, max_items integer, lease interval)
  returns text
  language sql
as $$
  with c as (select * from public.claim_outbox(max_items, lease)),
  i as (insert into claims select claim.worker, c.* from c)
  select string_agg(concat_ws('/', c.payload ->> 'seq', c.attempts), ' ') from c
$$;
select is(pg_temp.claim('one', 2, '5 min'), '2/1 4/1', 'A worker gets the oldest, at most so many.');
select results_eq(
  'select kind, user_id, payload, created_at from claims order by created_at limit 1',
  $$
    values (
      'low_balance', 'ada00000-0000-4000-8000-000000000000'::uuid, '{"seq": 2, "alert_below": 3, "credits_remaining": 0}'::jsonb, '2026-03-01 00:00:00+00'::timestamptz
    )
  $$,
  'With what, about whom and since when.'
);
select is(pg_temp.claim('two', 10, '1 hour'), '6/1', 'Another worker gets what is left.');
select is(pg_temp.claim('three', 10, '5 min'), null, 'A third gets nothing.');
select is(public.ack_outbox(array(select id from claims where payload ->> 'seq' = '2')), 1, 'What is done is removed.');
select is(public.ack_outbox(array(select id from claims where payload ->> 'seq' = '2')), 0, 'Removed again it is gone already.');
select set_config('test.now', '2026-03-01 00:06:59.999999+00', true);
select is(pg_temp.claim('three', 10, '5 min'), null, 'Until the lease has run out nothing comes again.');
select set_config('test.now', '2026-03-01 00:07:00+00', true);
select is(pg_temp.claim('three', 10, '5 min'), '4/2', 'Then what was not done does, and says how often.');
select set_config('test.now', '2026-03-01 01:02:00+00', true);
select is(pg_temp.claim('three', 10, '5 min'), '4/3 6/2', 'So does what has a longer lease.');
select is(public.ack_outbox(array(select distinct id from claims) || null::uuid || array['ada00000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000']::uuid[]), 2, 'Only what is there is removed.');
select is(public.ack_outbox(ids), 0, 'Nothing to remove is no error.') from (values (null::uuid[]), ('{}')) as nothing (ids);
select set_config('test.now', '2026-03-09 00:00:00+00', true);
select is(pg_temp.claim('three', 10, '5 min'), null, 'What was removed never comes again.');
select throws_ok(format('select public.claim_outbox(%s, %L)', items, lease), '22023', 'invalid_argument', format('Refused: %s items for %s.', items, coalesce(lease, 'no time')))
from (
  values
    ('0', '5 min'), ('-1', '5 min'), ('1001', '5 min'), ('null', '5 min'), ('2147483647', '5 min'), ('1', null), ('1', '0'),
    ('1', '-5 min'), ('1', '999 ms'), ('1', '25 hours'), ('1', '100000 years')
) as calls (items, lease);

select * from finish();
rollback;
