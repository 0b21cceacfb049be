-- Most of what stores tell is no payment. Whatever such an event looks like, a purchase included, it is kept and credits nothing;
-- so is a type that nobody knows yet.

begin;
select plan(43);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 100, 100, null, null, 'pro', null, null, null);

create temp table attempts (place serial, provider text, what text, fields jsonb, becomes text);
insert into attempts (provider, what, fields, becomes)
select 'revenuecat', 'RevenueCat''s ' || type, jsonb_build_object('type', type), becomes
from (
  values
    ('TEST', 'ignored test'), ('TEMPORARY_ENTITLEMENT_GRANT', 'ignored changes_nothing'),
    ('INVOICE_ISSUANCE', 'ignored changes_nothing'), ('PRODUCT_CHANGE', 'ignored changes_nothing'),
    ('UNCANCELLATION', 'ignored changes_nothing'), ('BILLING_ISSUE', 'ignored changes_nothing'),
    ('SUBSCRIPTION_PAUSED', 'ignored changes_nothing'), ('CANCELLATION', 'ignored changes_nothing'),
    ('EXPERIMENT_ENROLLMENT', 'ignored changes_nothing'), ('PURCHASE_REDEEMED', 'ignored changes_nothing'),
    ('PRICE_INCREASE_CONSENT_REQUIRED', 'ignored changes_nothing'), ('PAYWALL_IMPRESSION', 'ignored changes_nothing'),
    ('SUBSCRIBER_ALIAS', 'ignored changes_nothing'), ('A_TYPE_OF_NEXT_YEAR', 'ignored unknown_type'),
    ('initial_purchase', 'ignored unknown_type'), ('', 'failed wrong_shape')
) as t (type, becomes);
insert into attempts (provider, what, fields, becomes)
values
  ('revenuecat', 'A purchase by family share', '{"type": "INITIAL_PURCHASE", "is_family_share": true}', 'ignored family_share'),
  ('revenuecat', 'A grant of virtual currency by hand', '{"type": "VIRTUAL_CURRENCY_TRANSACTION", "source": "admin_api", "adjustments": [{"amount": 100}]}', 'ignored changes_nothing'),
  ('revenuecat', 'Virtual currency that was taken', '{"type": "VIRTUAL_CURRENCY_TRANSACTION", "source": "in_app_purchase", "adjustments": [{"amount": -100}]}', 'ignored changes_nothing'),
  ('revenuecat', 'Virtual currency of nothing', '{"type": "VIRTUAL_CURRENCY_TRANSACTION", "source": "in_app_purchase", "adjustments": []}', 'ignored changes_nothing'),
  ('revenuecat', 'The end of a subscription that was never seen', '{"type": "EXPIRATION", "expiration_at_ms": 4102444800000}', 'processed before_purchase'),
  ('revenuecat', 'More time for a subscription that was never seen', '{"type": "SUBSCRIPTION_EXTENDED", "expiration_at_ms": 4102444800000}', 'processed before_purchase'),
  ('revenuecat', 'A reversal of what was never refunded', '{"type": "REFUND_REVERSED"}', 'processed before_purchase'),
  ('revenuecat', 'A negative purchase that is a refund', '{"type": "CANCELLATION", "cancel_reason": "CUSTOMER_SUPPORT", "price": -9.99}', 'processed before_purchase');
insert into attempts (provider, what, fields, becomes)
select 'stripe', 'Stripe''s ' || type, jsonb_build_object('type', type) || fields, becomes
from (
  values
    ('checkout.session.completed', '{"mode": "subscription"}'::jsonb, 'ignored changes_nothing'),
    ('checkout.session.completed', '{"mode": "setup"}', 'ignored changes_nothing'),
    ('checkout.session.expired', '{}', 'ignored changes_nothing'),
    ('payment_intent.created', '{}', 'ignored changes_nothing'),
    ('payment_intent.payment_failed', '{}', 'ignored changes_nothing'),
    ('payment_intent.processing', '{}', 'ignored changes_nothing'),
    ('charge.succeeded', '{}', 'ignored changes_nothing'),
    ('invoice.created', '{}', 'ignored changes_nothing'),
    ('invoice.finalized', '{}', 'ignored changes_nothing'),
    ('invoice.payment_failed', '{}', 'ignored changes_nothing'),
    ('customer.subscription.created', '{}', 'ignored changes_nothing'),
    ('product.updated', '{}', 'ignored changes_nothing'),
    ('type.of.next.year', '{}', 'ignored unknown_type')
) as t (type, fields, becomes);

create function pg_temp.attempt(attempt attempts)
  returns text
  language plpgsql
as $$
declare
  v_event public.store_event;
begin
  if attempt.provider = 'revenuecat' then
    v_event := public.process_revenuecat_event(
      jsonb_build_object(
        'event', jsonb_build_object('id', 'event-' || attempt.place, 'transaction_id', 't-' || attempt.place)
        || '{"app_user_id": "ada00000-0000-4000-8000-000000000000", "product_id": "pack", "store": "APP_STORE",
          "environment": "PRODUCTION", "price": 9.99, "currency": "EUR", "price_in_purchased_currency": 9.99,
          "period_type": "NORMAL", "entitlement_ids": ["pro"], "purchased_at_ms": 1658726519000}'::jsonb || attempt.fields
      )::json
    );
  else
    v_event := public.process_stripe_event(
      jsonb_build_object(
        'id', 'event-' || attempt.place, 'type', attempt.fields ->> 'type', 'livemode', true,
        'data', jsonb_build_object(
          'object', jsonb_build_object('id', 'x_' || attempt.place)
          || '{"mode": "payment", "payment_status": "paid", "amount_subtotal": 999, "amount_total": 999, "currency": "eur",
            "client_reference_id": "ada00000-0000-4000-8000-000000000000", "customer": "cus_1", "payment_intent": "pi_1",
            "metadata": {"product_id": "pack", "user_id": "ada00000-0000-4000-8000-000000000000"}}'::jsonb || attempt.fields
        )
      )::json
    );
  end if;
  return concat_ws(' ', v_event.state, v_event.reason);
end;
$$;
select is(pg_temp.attempt(a), becomes, format('%s is %s.', what, becomes)) from attempts as a order by place;

select is((select credits_remaining from public.user_credits), 0::bigint, 'Nothing was credited.');
select is_empty('select * from public.credit_transactions', 'Nothing was written to the ledger.');
select is_empty('select * from public.purchase_transactions', 'Nothing was bought.');
select is_empty('select * from public.user_entitlements', 'Nobody may use anything.');
select is(
  (select count(*) from credits_private.store_events where body is not null), (select count(*) from attempts),
  'Everything is kept.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
