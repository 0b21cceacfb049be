-- An invoice of Stripe credits each line that is a product here, in its old and its new shape, once. What is prorated moves
-- money and sells no pack; what is no product here is passed over beside one that is.

begin;
select plan(14);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('stripe', 'price_pro', 100, 0, 10, null, null, 'pro', null, null, null);
select credits_private.set_product('stripe', 'price_extra', 30, 0, 0, null, null, null, null, null, null);

create function pg_temp.invoice(id text, lines jsonb, fields jsonb default '{}', type text default 'invoice.paid')
  returns text
  language sql
as $$
  select concat_ws(' ', e.state, e.reason, e.transaction_id)
  from public.process_stripe_event(
    jsonb_build_object(
      'id', 'evt_' || type || id, 'type', type, 'livemode', true,
      'data', jsonb_build_object(
        'object', '{"amount_paid": 3000, "currency": "eur", "customer": "cus_1",
          "subscription_details": {"metadata": {"user_id": "ada00000-0000-4000-8000-000000000000"}}}'::jsonb
        || jsonb_build_object('id', id, 'lines', jsonb_build_object('data', lines)) || fields
      )
    )::json
  ) as e
$$;
create function pg_temp.bought(id text)
  returns table (product_id text, quantity integer, credits bigint, price_cents bigint)
  language sql
as $$
  select p.product_id, p.quantity, p.credits, p.price_cents
  from public.purchase_transactions as p
  where p.transaction_id = id
  order by 1
$$;

select is(
  pg_temp.invoice('in_1', '[
    {"amount": 1000, "quantity": 1, "price": {"id": "price_pro"}, "period": {"end": 4102444800}},
    {"amount": 2000, "quantity": 2, "price": {"id": "price_extra"}}
  ]', '{"payment_intent": "pi_1"}'),
  'processed pi_1', 'An invoice of the old shape is named by its payment.'
);
select results_eq(
  $$ select * from pg_temp.bought('pi_1') $$,
  $$ values ('price_extra', 2, 60::bigint, 2000::bigint), ('price_pro', 1, 100, 1000) $$,
  'Each line is a purchase of its own, with its quantity.'
);
select is(
  pg_temp.invoice('in_2', '[
    {"amount": 1000, "quantity": 1, "pricing": {"price_details": {"price": "price_pro"}}, "period": {"end": 4102444800}},
    {"amount": 1000, "quantity": 1, "pricing": {"price_details": {"price": "price_extra"}}}
  ]', '{"subscription_details": null, "parent": {"subscription_details": {"metadata": {"user_id": "ada00000-0000-4000-8000-000000000000"}}}}'),
  'processed in_2', 'An invoice of the new shape is named by itself.'
);
select results_eq(
  $$ select * from pg_temp.bought('in_2') $$,
  $$ values ('price_extra', 1, 30::bigint, 1000::bigint), ('price_pro', 1, 100, 1000) $$,
  'Its lines are purchases too.'
);
select pg_temp.invoice('in_2', '[{"amount": 1000, "quantity": 1, "pricing": {"price_details": {"price": "price_pro"}}}]', type => 'invoice.payment_succeeded');
select is((select credits_remaining from public.user_credits), 290::bigint, 'Two events of one invoice credit once.');

select is(
  pg_temp.invoice('in_3', '[
    {"amount": 500, "quantity": 1, "price": {"id": "price_pro"}, "proration": true},
    {"amount": 500, "quantity": 1, "price": {"id": "price_pro"}, "parent": {"subscription_item_details": {"proration": true}}},
    {"amount": -300, "quantity": 1, "price": {"id": "price_pro"}}
  ]'),
  'ignored changes_nothing', 'A change of plan within the period credits nothing.'
);
select is(
  pg_temp.invoice('in_4', '[{"amount": 900, "price": {"id": "price_setup"}}, {"amount": 1000, "price": {"id": "price_extra"}}]'),
  'processed in_4', 'A line that is no product here is passed over beside one that is.'
);
select results_eq(
  $$ select * from pg_temp.bought('in_4') $$, $$ values ('price_extra', 1, 30::bigint, 1000::bigint) $$,
  'It is not recorded.'
);
select is(
  pg_temp.invoice('in_5', '[{"amount": 900, "price": {"id": "price_setup"}}]'),
  'failed unknown_product in_5', 'An invoice of nothing that is sold here waits for an operator.'
);
select is(
  pg_temp.invoice('in_6', '[{"amount": 0, "price": {"id": "price_pro"}, "period": {"end": 4102444800}}]'),
  'processed in_6', 'A free trial is an invoice of nothing.'
);
select results_eq(
  $$ select * from pg_temp.bought('in_6') $$, $$ values ('price_pro', 1, 10::bigint, 0::bigint) $$,
  'It is worth the trial credits.'
);
select pg_temp.invoice('in_7', '[{"amount": 500, "quantity": 1, "price": {"id": "price_extra"}}, {"amount": 500, "quantity": 2, "price": {"id": "price_extra"}}]');
select is(
  (select sum(credits) from pg_temp.bought('in_7')), 90::numeric, 'Two lines of one product count both.'
);
select is(
  (
    select entitled_until from public.purchase_transactions where transaction_id = 'in_6'
  ),
  '2100-01-01 00:00:00+00'::timestamptz, 'The entitlement lasts as long as the period of the line.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
