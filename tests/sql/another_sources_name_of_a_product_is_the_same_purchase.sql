-- An app may record a purchase under its own name of the product, and RevenueCat tells of it under the store's: one purchase,
-- and what RevenueCat says of it afterwards is about that one.

begin;
select plan(7);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);
select credits_private.set_product('any', 'com.app.pack', 100, 0, 0, null, null, null, null, null, null);
select credits_private.set_product('any', 'monthly', 10, 0, 0, null, null, 'pro', null, null, null);
create function pg_temp.told(id text, type text, transaction_id text, product_id text, fields jsonb)
  returns text
  language sql
as $$
  select e.state::text
  from public.process_revenuecat_event(
    jsonb_build_object(
      'event', '{"app_user_id": "ada00000-0000-4000-8000-000000000000", "store": "PLAY_STORE", "environment": "PRODUCTION"}'::jsonb
      || jsonb_build_object('id', id, 'type', type, 'transaction_id', transaction_id, 'product_id', product_id) || fields
    )::json
  ) as e
$$;

select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'play_store', 'GPA.1', 'pack');
select is(pg_temp.told('1', 'NON_RENEWING_PURCHASE', 'GPA.1', 'com.app.pack', '{}'), 'processed', 'It is told under another name.');
select is((select credits_remaining from public.user_credits), 100::bigint, 'It is credited once.');
select pg_temp.told('2', 'CANCELLATION', 'GPA.1', 'com.app.pack', '{"cancel_reason": "CUSTOMER_SUPPORT"}');
select is((select credits_remaining from public.user_credits), 0::bigint, 'A refund under that name takes it back.');
select is((select status::text from public.purchase_transactions), 'refunded', 'The purchase says so.');

select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'play_store', 'GPA.2', 'monthly');
select ok(public.has_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro'), 'A subscription gives its entitlement.');
select pg_temp.told('3', 'EXPIRATION', 'GPA.2', 'monthly:base', '{"expiration_at_ms": 1700000000000}');
select ok(
  not public.has_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro'),
  'Its end under another name is its end.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
