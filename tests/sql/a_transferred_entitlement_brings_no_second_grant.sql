-- Whoever gets an entitlement by a transfer gets its recurring grants from the next period on: who had it before has had the
-- credits of this one, or restoring a purchase on account after account would multiply them.

begin;
select plan(6);

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
insert into auth.users (id)
values
  ('ada00000-0000-4000-8000-000000000000'), ('bea00000-0000-4000-8000-000000000000'), ('cee00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'life', 0, 0, 0, null, null, 'pro', null, null, null);
create function pg_temp.event(id text, fields jsonb)
  returns text
  language sql
as $$
  select e.state::text
  from public.process_revenuecat_event(
    jsonb_build_object('event', '{"store": "APP_STORE", "environment": "PRODUCTION"}'::jsonb || jsonb_build_object('id', id) || fields)::json
  ) as e
$$;
create function pg_temp.transfer(id text, was text, is_now text)
  returns text
  language sql
as $$
  select pg_temp.event(id, jsonb_build_object('type', 'TRANSFER', 'transferred_from', jsonb_build_array(was), 'transferred_to', jsonb_build_array(is_now)))
$$;
create temp view available as
select left(a.user_id::text, 3) as who, (public.get_user_credits_for(a.user_id)).credits_remaining as credits
from public.user_credits as a
order by 1;

select public.set_recurring_grant('pro', 100, 'month', entitlement => 'pro');
select pg_temp.event(
  '1', '{"type": "NON_RENEWING_PURCHASE", "product_id": "life", "transaction_id": "1", "app_user_id": "ada00000-0000-4000-8000-000000000000"}'
);
select results_eq('select * from available', $$ values ('ada', 100::bigint), ('bea', 0), ('cee', 0) $$, 'Ada has the credits of March.');
select pg_temp.transfer('2', 'ada00000-0000-4000-8000-000000000000', 'bea00000-0000-4000-8000-000000000000');
select ok(public.has_entitlement_for('bea00000-0000-4000-8000-000000000000', 'pro'), 'Bea has the entitlement now.');
select results_eq('select * from available', $$ values ('ada', 100::bigint), ('bea', 0), ('cee', 0) $$, 'Not the credits of March.');
select pg_temp.transfer('3', 'bea00000-0000-4000-8000-000000000000', 'cee00000-0000-4000-8000-000000000000');
select pg_temp.transfer('4', 'cee00000-0000-4000-8000-000000000000', 'bea00000-0000-4000-8000-000000000000');
select results_eq('select * from available', $$ values ('ada', 100::bigint), ('bea', 0), ('cee', 0) $$, 'However often it goes round.');
select set_config('test.now', '2026-04-01 00:00:00+00', true);
select results_eq('select * from available', $$ values ('ada', 0::bigint), ('bea', 100), ('cee', 0) $$, 'April''s are Bea''s alone.');

select is_empty('select * from credits_private.verify_ledger(null)', 'The books add up.');
select * from finish();
rollback;
