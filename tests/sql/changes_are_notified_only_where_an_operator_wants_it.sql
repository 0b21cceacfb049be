-- The setting notify_changes is a trigger, enabled or not: off costs nothing, and nothing has to remember to look. It
-- says one word on one channel, whatever has changed.

begin;
select plan(13);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

create temp view state as
select t.tgenabled::text as enabled, s.value
from pg_catalog.pg_trigger as t
cross join credits_private.settings as s
where t.tgrelid = 'public.user_credits'::regclass and t.tgname = 'notify_changes' and s.name = 'notify_changes';

select results_eq('select * from state', $$ values ('D', 'off') $$, 'It is off as it comes, and the trigger disabled.');
select results_eq(
  $$ select name, value from credits_private.set_setting('notify_changes', 'on') $$,
  $$ values ('notify_changes', 'on') $$,
  'An operator switches it on.'
);
select results_eq('select * from state', $$ values ('O', 'on') $$, 'The trigger is enabled, but not for a restore.');
select lives_ok(
  $$ select credits_private.set_setting('notify_changes', 'on') $$,
  'Switching on twice is no error.'
);
select lives_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000') $$,
  'A spend goes on.'
);
select lives_ok(
  $$ select credits_private.set_setting('user_spending', 'off') $$,
  'Another setting is switched.'
);
select results_eq('select * from state', $$ values ('O', 'on') $$, 'This one stays as it is.');
select lives_ok(
  $$ select credits_private.set_setting('notify_changes', 'off') $$,
  'An operator switches it off again.'
);
select results_eq('select * from state', $$ values ('D', 'off') $$, 'The trigger is disabled again.');
select lives_ok(
  $$ select credits_private.set_setting('notify_changes', 'off') $$,
  'Switching off twice is no error.'
);

select is(
  (
    select array_to_string(p.proconfig, ' ')
    from pg_catalog.pg_proc as p
    where p.oid = 'credits_private.set_setting(text, text)'::regprocedure
  ),
  'search_path="" lock_timeout=1s',
  'Whoever switches waits for a second at most.'
);
select results_eq(
  $$
    select regexp_matches(p.prosrc collate "default", 'pg_notify\(([^)]*)\)', 'g')
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
  $$,
  $$ values (array[$q$'credits_changed', ''$q$]) $$,
  'There is one notification in all functions, and nothing in it that could tell something.'
);
select is_empty(
  $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace) and p.prosrc ~* '\mnotify\s+\w'
  $$,
  'None of them says NOTIFY either.'
);

select * from finish();
rollback;
