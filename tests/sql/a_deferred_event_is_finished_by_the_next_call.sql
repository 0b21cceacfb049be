-- A server may store an event in one transaction and run it in the next. Whoever comes next finishes it: the same event, an
-- operator, or maintenance; and what a crash left half done (a claim without a purchase) is finished as well.

begin;
select plan(17);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);
create function pg_temp.event(id text)
  returns json
  language sql
as $$
  select json_build_object(
    'event', json_build_object(
      'id', id, 'type', 'NON_RENEWING_PURCHASE', 'app_user_id', 'ada00000-0000-4000-8000-000000000000', 'store', 'APP_STORE',
      'environment', 'PRODUCTION', 'transaction_id', id, 'product_id', 'pack'
    )
  )
$$;
create temp view balance as select credits_remaining from public.user_credits;

select is(
  (select concat_ws(' ', e.state, e.attempts) from public.process_revenuecat_event(pg_temp.event(id), true) as e), 'pending 0',
  format('Deferred, event %s is stored and nothing else.', id)
)
from unnest(array['1', '2', '3']) as ids (id);
select is((select * from balance), 0::bigint, 'Nothing is credited yet.');
select is(
  (select concat_ws(' ', e.state, e.attempts) from public.process_revenuecat_event(pg_temp.event('1'), true) as e), 'pending 0',
  'Deferred again it still waits.'
);
select is(
  (select concat_ws(' ', e.state, e.attempts) from public.process_revenuecat_event(pg_temp.event('1')) as e), 'processed 1',
  'The next call does it.'
);
select is((select * from balance), 100::bigint, 'It is credited.');
select is(
  (select concat_ws(' ', e.state, e.attempts) from public.process_revenuecat_event(pg_temp.event('1'), true) as e), 'processed 1',
  'Deferred once it is done it stays done.'
);
select is((public.reprocess_store_event('revenuecat', '2')).state, 'processed', 'An operator may do it.');
select is((select * from balance), 200::bigint, 'That is credited too.');
select results_eq(
  'select store_events, store_events_waiting from public.run_maintenance()', 'values (1, 0)', 'Maintenance does what is left.'
);
select results_eq(
  'select store_events, store_events_waiting from public.run_maintenance()', 'values (0, 0)', 'Then nothing is left.'
);
select is((select * from balance), 300::bigint, 'All three are credited once.');

-- a claim that was taken and not followed
insert into credits_private.purchase_claims (store, environment, transaction_id, user_id, source, claimed_at)
values ('app_store', 'PRODUCTION', '4', 'ada00000-0000-4000-8000-000000000000', 'revenuecat', now());
select is((public.process_revenuecat_event(pg_temp.event('4'))).state, 'processed', 'A claim without a purchase is finished.');
select is((select * from balance), 400::bigint, 'It is credited.');

-- a purchase that was recorded and not granted
insert into credits_private.purchase_claims (store, environment, transaction_id, user_id, source, claimed_at)
values ('app_store', 'PRODUCTION', '5', 'ada00000-0000-4000-8000-000000000000', 'revenuecat', now());
insert into public.purchase_transactions (
  user_id, store, environment, transaction_id, product_id, provider, status, credits, verified_at, created_at
)
values (
  'ada00000-0000-4000-8000-000000000000', 'app_store', 'PRODUCTION', '5', 'pack', 'revenuecat', 'completed', 70, now(), now()
);
select public.process_revenuecat_event(pg_temp.event('5'));
select is((select * from balance), 470::bigint, 'A purchase without its row gets it, as it was recorded.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
