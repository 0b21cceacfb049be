-- Test purchases credit nobody, unless the setting sandbox allows it, for the users on the list or for everybody. What was
-- denied can be tried again once it is allowed. A test purchase is never the one for real.

begin;
select plan(20);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id)
values ('ada00000-0000-4000-8000-000000000000'), ('bea00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, 'pro', null, null, null);

create function pg_temp.attempt(id text, who text, store text default 'APP_STORE', environment text default 'SANDBOX')
  returns text
  language sql
as $$
  select concat_ws(' ', e.state, e.reason)
  from public.process_revenuecat_event(
    json_build_object(
      'event', json_build_object(
        'id', id, 'type', 'NON_RENEWING_PURCHASE', 'store', store, 'environment', environment, 'transaction_id', id,
        'product_id', 'pack', 'app_user_id', who || '00000-0000-4000-8000-000000000000'
      )
    )
  ) as e
$$;
create function pg_temp.stripe(id text, livemode jsonb)
  returns text
  language sql
as $$
  select concat_ws(' ', e.state, e.reason, e.environment)
  from public.process_stripe_event(
    jsonb_build_object(
      'id', id, 'type', 'checkout.session.completed', 'livemode', livemode,
      'data', '{"object": {"id": "cs_1", "mode": "payment", "payment_status": "paid", "metadata": {"product_id": "pack"},
        "client_reference_id": "ada00000-0000-4000-8000-000000000000"}}'::jsonb
    )::json
  ) as e
$$;

select is(pg_temp.attempt('1', 'ada'), 'ignored sandbox_denied', 'As it comes, a test purchase is denied.');
select is(pg_temp.attempt('2', 'ada', 'TEST_STORE', 'PRODUCTION'), 'ignored sandbox_denied', 'A test store is a sandbox whatever it says.');
select is(pg_temp.attempt('3', 'ada', environment => null), 'failed wrong_shape', 'No environment is not production.');
select is(pg_temp.attempt('4', 'ada', environment => 'STAGING'), 'failed wrong_shape', 'An unknown environment is not production.');
select is(pg_temp.attempt('5', 'ada', environment => 'production'), 'failed wrong_shape', 'A word that is nearly right is not production.');
select is(pg_temp.stripe('evt_1', 'false'), 'ignored sandbox_denied SANDBOX', 'What is not live at Stripe is a test.');
select is(pg_temp.stripe('evt_2', '"true"'), 'failed wrong_shape', 'What says so in a text is not live.');
select is(pg_temp.stripe('evt_3', 'null'), 'failed wrong_shape', 'What does not say so is not live.');
select throws_ok(
  $$ select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'own', '1', 'pack', environment => 'SANDBOX') $$,
  '22023', 'invalid_argument',
  'A service is refused a test purchase.'
);
select is((select sum(credits_remaining) from public.user_credits), 0::numeric, 'Nobody has credits.');
select is_empty('select * from credits_private.purchase_claims where user_id is not null', 'Nobody has claimed anything.');

select credits_private.set_setting('sandbox', 'allow_listed');
select is(pg_temp.attempt('6', 'ada'), 'ignored sandbox_denied', 'An empty list allows nobody.');
select credits_private.set_setting('sandbox_users', 'cee00000-0000-4000-8000-000000000000,ada00000-0000-4000-8000-000000000000');
select is(pg_temp.attempt('7', 'ada'), 'processed', 'Who is listed is credited.');
select is(pg_temp.attempt('8', 'bea'), 'ignored sandbox_denied', 'Who is not listed is not.');
select is(
  (public.reprocess_store_event('revenuecat', '1')).state, 'processed', 'What was denied before can be tried again.'
);
select is(
  (select credits_remaining from public.user_credits where user_id = 'ada00000-0000-4000-8000-000000000000'), 200::bigint,
  'Ada has the two.'
);

select credits_private.set_setting('sandbox', 'allow');
select is(pg_temp.attempt('9', 'bea'), 'processed', 'Allowed, everybody is credited.');
select is(pg_temp.attempt('9r', 'ada', environment => 'PRODUCTION'), 'processed', 'For real there is no question.');
select results_eq(
  'select environment, count(*) from public.purchase_transactions group by 1 order by 1',
  $$ values ('PRODUCTION', 1::bigint), ('SANDBOX', 3) $$,
  'Purchases say which they are.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
