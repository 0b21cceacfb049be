-- An app that records a purchase itself, RevenueCat and the store may all tell of it, each of them twice, in any order: it is
-- credited once. Stripe names one payment by its session, its intent and its invoice, and that is still one.

begin;
select plan(9);

insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);

create temp table said (name text, statement text);
insert into said
values
  ('app', $$ select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'app_store', '1', 'pack') $$),
  ('revenuecat', $$ select public.process_revenuecat_event('{"event": {
    "id": "r1", "type": "NON_RENEWING_PURCHASE", "app_user_id": "ada00000-0000-4000-8000-000000000000", "product_id": "pack",
    "store": "APP_STORE", "environment": "PRODUCTION", "transaction_id": "1"}}') $$),
  ('revenuecat again', $$ select public.process_revenuecat_event('{"event": {
    "id": "r2", "type": "INITIAL_PURCHASE", "app_user_id": "ada00000-0000-4000-8000-000000000000", "product_id": "pack",
    "store": "APP_STORE", "environment": "PRODUCTION", "transaction_id": "1"}}') $$),
  ('currency', $$ select public.process_revenuecat_event('{"event": {
    "id": "r3", "type": "VIRTUAL_CURRENCY_TRANSACTION", "app_user_id": "ada00000-0000-4000-8000-000000000000",
    "product_id": "pack", "store": "APP_STORE", "purchase_environment": "PRODUCTION", "transaction_id": "1",
    "source": "in_app_purchase", "adjustments": [{"amount": 100, "currency": {"code": "CRD"}}]}}') $$),
  ('pi by app', $$ select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'stripe', 'pi_1', 'pack') $$),
  ('cs by app', $$ select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'stripe', 'cs_1', 'pack') $$),
  ('pi by revenuecat', $$ select public.process_revenuecat_event('{"event": {
    "id": "r4", "type": "NON_RENEWING_PURCHASE", "app_user_id": "ada00000-0000-4000-8000-000000000000", "product_id": "rc_pack",
    "store": "STRIPE", "environment": "PRODUCTION", "transaction_id": "pi_1"}}') $$),
  ('session', $$ select public.process_stripe_event('{"id": "s1", "type": "checkout.session.completed", "livemode": true,
    "data": {"object": {"id": "cs_1", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_1", "invoice": "in_1",
    "client_reference_id": "ada00000-0000-4000-8000-000000000000", "metadata": {"product_id": "pack"}}}}') $$),
  ('session later', $$ select public.process_stripe_event('{"id": "s2", "type": "checkout.session.async_payment_succeeded",
    "livemode": true, "data": {"object": {"id": "cs_1", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_1",
    "client_reference_id": "ada00000-0000-4000-8000-000000000000", "metadata": {"product_id": "pack"}}}}') $$),
  ('intent', $$ select public.process_stripe_event('{"id": "s3", "type": "payment_intent.succeeded", "livemode": true,
    "data": {"object": {"id": "pi_1", "amount_received": 999, "currency": "eur",
    "metadata": {"product_id": "pack", "user_id": "ada00000-0000-4000-8000-000000000000"}}}}') $$),
  ('bare intent', $$ select public.process_stripe_event('{"id": "s4", "type": "payment_intent.succeeded", "livemode": true,
    "data": {"object": {"id": "pi_1", "amount_received": 999, "currency": "eur", "metadata": {}}}}') $$),
  ('old invoice', $$ select public.process_stripe_event('{"id": "s5", "type": "invoice.paid", "livemode": true,
    "data": {"object": {"id": "in_1", "payment_intent": "pi_1", "amount_paid": 999, "currency": "eur",
    "metadata": {"user_id": "ada00000-0000-4000-8000-000000000000"},
    "lines": {"data": [{"amount": 999, "quantity": 1, "price": {"id": "pack"}}]}}}}') $$),
  ('new invoice', $$ select public.process_stripe_event('{"id": "s6", "type": "invoice.paid", "livemode": true,
    "data": {"object": {"id": "in_1", "amount_paid": 999, "currency": "eur",
    "parent": {"subscription_details": {"metadata": {"user_id": "ada00000-0000-4000-8000-000000000000"}}},
    "lines": {"data": [{"amount": 999, "quantity": 1, "pricing": {"price_details": {"price": "pack"}}}]}}}}') $$),
  ('link', $$ select public.process_stripe_event('{"id": "s7", "type": "invoice_payment.paid", "livemode": true,
    "data": {"object": {"id": "inpay_1", "invoice": "in_1", "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}}}') $$);

-- what it comes to when these are told in this order, and then all of them once more; nothing of it stays
create function pg_temp.after(names text[])
  returns text
  language plpgsql
as $$
declare
  v_name text;
begin
  foreach v_name in array names || names loop
    execute (select s.statement from said as s where s.name = v_name);
  end loop;
  raise exception using
    errcode = 'UC000',
    message = format(
      '%s credits, %s purchases, %s rows, %s wrong, %s events undone',
      (select a.credits_remaining from public.user_credits as a),
      (select count(*) from public.purchase_transactions),
      (select count(*) from public.credit_transactions where type = 'purchase'),
      (select count(*) from public.verify_ledger()),
      (select count(*) from credits_private.store_events as e where e.state not in ('processed', 'ignored'))
    );
exception
  when sqlstate 'UC000' then
    return sqlerrm;
end;
$$;

create function pg_temp.orders(names text[])
  returns setof text[]
  language sql
as $$
  with recursive orders (done) as (
    select array[]::text[]
    union all
    select o.done || n.name
    from orders as o
    join unnest(names) as n (name) on n.name <> all (o.done)
  )
  select o.done from orders as o where cardinality(o.done) = cardinality(names)
$$;

select is(
  (select count(*) from pg_temp.orders(array['app', 'revenuecat', 'revenuecat again', 'currency'])), 24::bigint,
  'There are 24 orders of four tellings.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders(array['app', 'revenuecat', 'revenuecat again', 'currency']) as o $$,
  $$ values ('103 credits, 1 purchases, 1 rows, 0 wrong, 0 events undone') $$,
  'Four tellings of one purchase in the App Store, in any order and twice, credit it once.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders(array['session', 'session later', 'intent', 'old invoice']) as o $$,
  $$ values ('103 credits, 1 purchases, 1 rows, 0 wrong, 0 events undone') $$,
  'Session, intent and invoice of one payment by Stripe credit it once.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders(array['pi by app', 'session', 'bare intent', 'old invoice']) as o $$,
  $$ values ('103 credits, 1 purchases, 1 rows, 0 wrong, 0 events undone') $$,
  'So they do beside an app that records the intent.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders(array['cs by app', 'session']) as o $$,
  $$ values ('103 credits, 1 purchases, 1 rows, 0 wrong, 0 events undone') $$,
  'So does a success page that records the session.'
);
select results_eq(
  $$
    select distinct pg_temp.after(o)
    from pg_temp.orders(array['pi by revenuecat', 'session', 'intent']) as o
    where o[1] <> 'pi by revenuecat'
  $$,
  $$ values ('103 credits, 1 purchases, 1 rows, 0 wrong, 0 events undone') $$,
  'What RevenueCat tells of the same payment, under its own name of the product, adds nothing.'
);
select credits_private.set_product('any', 'rc_pack', 100, 0, 0, null, null, null, null, null, null);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders(array['pi by revenuecat', 'session', 'intent']) as o $$,
  $$ values ('103 credits, 1 purchases, 1 rows, 0 wrong, 0 events undone') $$,
  'Where RevenueCat''s name is a product too, whoever comes first is credited, and nobody after.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders(array['new invoice', 'link', 'bare intent']) as o $$,
  $$ values ('103 credits, 1 purchases, 1 rows, 0 wrong, 0 events undone') $$,
  'An invoice of the newer API is credited once.'
);
select results_eq(
  $$
    select distinct pg_temp.after(o)
    from pg_temp.orders(array['new invoice', 'link', 'pi by app']) as o
    where array_position(o, 'link') < 3
  $$,
  $$ values ('103 credits, 1 purchases, 1 rows, 0 wrong, 0 events undone') $$,
  'Linked to its intent before both were credited, it is one with what was recorded under the intent.'
);

select * from finish();
rollback;
