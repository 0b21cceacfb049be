-- Users read their own holds and write none; visitors see nothing of them, and nobody but a service holds, captures, releases,
-- gives back, grants or reads the outbox.

begin;
select plan(32);

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

select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 10);
select public.add_credits_for('bea00000-0000-4000-8000-000000000000', 10);
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 3, description => 'A render');
select public.reserve_credits_for('bea00000-0000-4000-8000-000000000000', 4);

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select results_eq(
  'select user_id, amount, status::text, description from public.credit_holds', $$ values ('ada00000-0000-4000-8000-000000000000'::uuid, 3::bigint, 'active', 'A render') $$,
  'Ada sees her hold and no other.'
);
select throws_ok(statement, '42501', null, what)
from (
  values
    ('update public.credit_holds set amount = 1', 'She cannot change it.'),
    ('delete from public.credit_holds', 'Nor delete it.'),
    ($$ insert into public.credit_holds (user_id, amount, expires_at, created_at) values ('ada00000-0000-4000-8000-000000000000', 1, now(), now()) $$, 'Nor make one.'),
    ('select * from credits_private.credit_lots', 'Lots are not for her.'),
    ('select * from credits_private.outbox', 'Nor is the outbox.')
) as statements (statement, what);
create temp table calls (call text);
grant select on calls to public;
insert into calls
values
  ($$reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1)$$),
  ($$capture_hold_for('ada00000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000')$$),
  ($$release_hold_for('ada00000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000')$$),
  ($$refund_consumption_for('ada00000-0000-4000-8000-000000000000', 1)$$),
  ($$set_recurring_grant('daily', 1, 'day', 'ada00000-0000-4000-8000-000000000000')$$),
  ($$end_recurring_grant('daily', 'ada00000-0000-4000-8000-000000000000')$$),
  ($$set_alert_for('ada00000-0000-4000-8000-000000000000', 1)$$),
  ($$claim_outbox()$$),
  ($$ack_outbox('{}')$$),
  ($$run_maintenance()$$),
  ($$add_credits_for('ada00000-0000-4000-8000-000000000000', 1, expires_at => 'infinity')$$);
select throws_ok(format('select public.%s', call), '42501', null, format('A user cannot call %s.', split_part(call, '(', 1))) from calls;
select set_config('request.jwt.claims', '', true);
select is_empty('select * from public.credit_holds', 'Without claims no hold is seen.');

reset role;
set local role anon;
select throws_ok(format('select public.%s', call), '42501', null, format('A visitor cannot call %s.', split_part(call, '(', 1))) from calls;
select throws_ok('select * from public.credit_holds', '42501', null, 'A visitor sees no holds.');

reset role;
set local role service_role;
select is((select count(*) from public.credit_holds), 2::bigint, 'A service sees all of them.');
select throws_ok('update public.credit_holds set amount = 1', '42501', null, 'It changes none by hand either.');

select * from finish();
rollback;
