-- Postgres looks for the name of a type among temporary types first, also where the search path is empty. A
-- temporary domain named text, whose check is a function of the caller's, must not be what our functions take
-- for text, or the check would run with the rights of the owner. So they name the schema of every type.

begin;
select plan(4);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

-- notes who runs it
create function pg_temp.note(value anyelement)
  returns boolean
  language plpgsql
as $$
begin
  perform set_config('test.ran_as', concat_ws(' ', current_setting('test.ran_as', true), current_user), true);
  return true;
end;
$$;
create domain pg_temp.text as pg_catalog.text check (pg_temp.note(value));
create domain pg_temp.uuid as pg_catalog.uuid check (pg_temp.note(value));
create domain pg_temp.jsonb as pg_catalog.jsonb check (pg_temp.note(value));
create domain pg_temp.timestamptz as pg_catalog.timestamptz check (pg_temp.note(value));

-- what this session has compiled is forgotten when a function changes, as a fresh session would not have it
do $$
declare
  v_function regprocedure;
begin
  for v_function in
    select p.oid
    from pg_catalog.pg_proc as p
    where p.pronamespace::regnamespace::pg_catalog.text in ('public', 'credits_private', 'auth')
      and p.proowner = current_user::regrole
  loop
    execute format('alter function %s cost 99', v_function);
    execute format('alter function %s cost 100', v_function);
  end loop;
end;
$$;

select set_config('test.ran_as', 'nobody', true);
select cast('a word' as text);
select isnt(current_setting('test.ran_as'), 'nobody'::pg_catalog.text, 'The check of the temporary type runs where the type is meant.');

select set_config('test.ran_as', 'nobody', true);
select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select public.get_user_credits();
select c.credits_available from public.get_user_credits() as c;
select public.consume_credit(1, 'An export', '{"pages": 4}', 'export-1');
select public.consume_credit(1, 'An export', '{"pages": 4}', 'export-1');
select public.get_operation('export-1');
select t.id from public.get_transaction_history() as t;
select public.get_usage('2000-01-01');
reset role;
set local role service_role;
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, 'purchase', null, 'A pack', '{"order": 7}', 'order-7');
insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'bonus', 1);
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1, 'A render', '{"frames": 9}', 'render-1');
select public.set_alert_for('ada00000-0000-4000-8000-000000000000', 8);
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, expires_at => statement_timestamp() + interval '1 hour');
select public.set_recurring_grant('daily', 1, 'day', 'ada00000-0000-4000-8000-000000000000');
select public.set_recurring_grant('pros', 1, 'month', entitlement => 'pro');
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 7, idempotency_key => 'job-1');
select public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds), 6);
select public.release_hold_for('ada00000-0000-4000-8000-000000000000', (public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1)).id);
select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 5, 1);
select public.end_recurring_grant('daily', 'ada00000-0000-4000-8000-000000000000');
select public.end_recurring_grant('pros');
select public.ack_outbox(array(select o.id from public.claim_outbox() as o));
select public.run_maintenance();
select public.get_user_credits_for('ada00000-0000-4000-8000-000000000000');
select public.get_operation_for('ada00000-0000-4000-8000-000000000000', 'render-1');
select public.get_transaction_history_for('ada00000-0000-4000-8000-000000000000');
select public.get_usage_for('ada00000-0000-4000-8000-000000000000', '2000-01-01');
select public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', 'infinity');
select public.explain_balance_for('ada00000-0000-4000-8000-000000000000');
select public.verify_ledger();
reset role;
select credits_private.set_setting('signup_bonus', '4');
insert into auth.users (id, email) values ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
set local role authenticated;
select public.delete_user_account();
reset role;

select is(
  current_setting('test.ran_as'), 'nobody'::pg_catalog.text,
  'In none of our calls has it run, with nobody''s rights.'
);
select is(
  (select credits_remaining from public.user_credits), 4::bigint,
  'The calls did what they do.'
);
-- a variable or a cast, followed by a name that is no word of SQL itself
select is_empty(
  $$
    select p.oid::regprocedure, m.found[1]
    from pg_catalog.pg_proc as p
    cross join regexp_matches(
      p.prosrc, '((?:::|\mas |\n\s*v_\w+ )(?:record|text|uuid|jsonb?|timestamptz?|date|bytea|name|oid|reg\w+|bool|int[248]|float[48])\M)', 'g'
    ) as m (found)
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
  $$,
  'No function names a type without its schema.'
);

select * from finish();
rollback;
