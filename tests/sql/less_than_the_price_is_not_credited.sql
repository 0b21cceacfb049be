-- Where a product has a price, what was paid is compared with it: less, or another currency, is not credited and waits for an
-- operator. A discount is no shortfall: what counts is the amount before it. Where nobody says a price nothing is compared.

begin;
select plan(19);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, 999, 'EUR', null, null, null, null);
select credits_private.set_product('any', 'yen', 100, 0, 0, 500, 'JPY', null, null, null, null);

create temp table attempts (place serial, what text, body json, state text, reason text);
insert into attempts (what, body, state, reason)
select
  s.what,
  json_build_object(
    'id', 'evt_' || row_number() over (), 'type', 'checkout.session.completed', 'livemode', true,
    'data', json_build_object(
      'object', json_build_object(
        'id', 'cs_' || row_number() over (), 'mode', 'payment', 'payment_status', 'paid', 'currency', s.currency,
        'amount_subtotal', s.subtotal, 'amount_total', s.total,
        'client_reference_id', 'ada00000-0000-4000-8000-000000000000',
        'metadata', json_build_object('product_id', 'pack', 'quantity', s.quantity::text)
      )
    )
  ),
  case when s.fits then 'processed' else 'failed' end,
  case when not s.fits then 'price_mismatch' end
from (
  values
    ('The price is enough.', 999, 999, 'eur', 1, true),
    ('A cent less is not.', 998, 998, 'eur', 1, false),
    ('Nothing is not.', 0, 0, 'eur', 1, false),
    ('A number that is right in another currency is not.', 999, 999, 'usd', 1, false),
    ('A tip is welcome.', 5000, 5000, 'eur', 1, true),
    ('A discount passes.', 999, 500, 'eur', 1, true),
    ('A discount of everything passes.', 999, 0, 'eur', 1, true),
    ('Tax on top pays for nothing.', 990, 1188, 'eur', 1, false),
    ('Three for the price of three are enough.', 2997, 2997, 'eur', 3, true),
    ('Three for the price of two are not.', 1998, 1998, 'eur', 3, false)
) as s (what, subtotal, total, currency, quantity, fits);
insert into attempts (what, body, state, reason)
select
  s.what,
  json_build_object(
    'event', json_build_object(
      'id', 'rc_' || row_number() over (), 'type', 'NON_RENEWING_PURCHASE', 'store', 'APP_STORE', 'environment', 'PRODUCTION',
      'transaction_id', row_number() over (), 'product_id', s.product_id, 'currency', s.currency, 'price', 0.01,
      'price_in_purchased_currency', s.price, 'app_user_id', 'ada00000-0000-4000-8000-000000000000'
    )
  ),
  case when s.fits then 'processed' else 'failed' end,
  case when not s.fits then 'price_mismatch' end
from (
  values
    ('RevenueCat says the price with a point.', 'pack', 9.99, 'EUR', true),
    ('9.98 is less than 9.99.', 'pack', 9.98, 'EUR', false),
    ('A yen has no cents.', 'yen', 500, 'JPY', true),
    ('500 yen are not 5.', 'yen', 5, 'JPY', false),
    ('Where RevenueCat knows no price it is not compared.', 'pack', null, 'EUR', true)
) as s (what, product_id, price, currency, fits);

select results_eq(
  format(
    'select e.state::text, e.reason from public.%I(%L) as e',
    case when body -> 'event' is null then 'process_stripe_event' else 'process_revenuecat_event' end, body
  ),
  format('values (%L, %L)', state, reason), what
)
from attempts
order by place;
select is(
  (select credits_remaining from public.user_credits),
  (select sum(100 * coalesce((body #>> '{data,object,metadata,quantity}')::integer, 1)) from attempts where state = 'processed')::bigint,
  'What passed is credited and nothing else.'
);
select results_eq(
  $$ select reason, details from credits_private.store_events where event_id = 'evt_2' $$,
  $$
    values (
      'price_mismatch',
      '{"store": "stripe", "product_id": "pack", "price_cents": 998, "currency": "EUR", "expected_cents": 999, "expected_currency": "EUR"}'::jsonb
    )
  $$,
  'The event says what was paid and what was expected.'
);
select throws_ok(
  $$ select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'own', '1', 'pack', 998, 'EUR') $$,
  '22023', 'invalid_argument',
  'A service that says too little is refused.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
