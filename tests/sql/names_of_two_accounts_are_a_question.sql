-- Where the names of a RevenueCat customer belong to two accounts nobody guesses: the purchase is parked until an operator or a
-- later event answers. Stripe names people in an order of trust, and there the first account counts.

begin;
select plan(15);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id)
values ('ada00000-0000-4000-8000-000000000000'), ('bea00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);

create function pg_temp.revenuecat(id text, type text, fields jsonb)
  returns public.store_event
  language sql
as $$
  select public.process_revenuecat_event(
    jsonb_build_object(
      'event', '{"store": "APP_STORE", "environment": "PRODUCTION", "product_id": "pack"}'::jsonb
      || jsonb_build_object('id', id, 'type', type, 'transaction_id', id) || fields
    )::json
  )
$$;
create function pg_temp.stripe(id text, fields jsonb)
  returns text
  language sql
as $$
  select concat_ws(' ', e.state, e.reason, left(e.user_id::text, 3))
  from public.process_stripe_event(
    jsonb_build_object(
      'id', id, 'type', 'checkout.session.completed', 'livemode', true,
      'data', jsonb_build_object(
        'object', '{"mode": "payment", "payment_status": "paid"}'::jsonb || jsonb_build_object('id', 'cs_' || id)
        || jsonb_build_object('metadata', '{"product_id": "pack"}'::jsonb || coalesce(fields -> 'metadata', '{}'))
        || (fields - 'metadata')
      )
    )::json
  ) as e
$$;

select results_eq(
  $$
    select e.state::text, e.reason, e.details
    from pg_temp.revenuecat(
      '1', 'INITIAL_PURCHASE',
      '{"app_user_id": "ada00000-0000-4000-8000-000000000000", "aliases": ["bea00000-0000-4000-8000-000000000000"]}'
    ) as e
  $$,
  $$ values ('parked', 'ambiguous_user', '{}'::jsonb) $$,
  'Two accounts in one event are a question.'
);
select pg_temp.revenuecat('2', 'BILLING_ISSUE', '{"app_user_id": "bea00000-0000-4000-8000-000000000000", "aliases": ["$RCAnonymousID:b"]}');
select is(
  (pg_temp.revenuecat('3', 'RENEWAL', '{"app_user_id": "ada00000-0000-4000-8000-000000000000", "original_app_user_id": "$RCAnonymousID:b"}')).reason,
  'ambiguous_user',
  'So are an account and a name that belongs to another.'
);
select is((select sum(credits_remaining) from public.user_credits), 0::numeric, 'Nobody is credited.');
select is((select count(*) from credits_private.store_customers), 1::bigint, 'Nothing is learned from it.');

-- a learned name stays whose it was
select pg_temp.revenuecat('4', 'SUBSCRIBER_ALIAS', '{"app_user_id": "ada00000-0000-4000-8000-000000000000", "aliases": ["$RCAnonymousID:b"]}');
select results_eq(
  'select name, user_id from credits_private.store_customers',
  $$ values ('$RCAnonymousID:b', 'bea00000-0000-4000-8000-000000000000'::uuid) $$,
  'Nobody takes a name away from somebody.'
);

-- Stripe
select is(
  pg_temp.stripe('a', '{"client_reference_id": "ada00000-0000-4000-8000-000000000000", "customer": "cus_1",
    "metadata": {"user_id": "bea00000-0000-4000-8000-000000000000"}}'),
  'processed ada', 'The client reference comes before the metadata.'
);
select is(
  pg_temp.stripe('b', '{"customer": "cus_1", "metadata": {"user_id": "bea00000-0000-4000-8000-000000000000"}}'),
  'processed bea', 'The metadata come before the customer.'
);
select is(
  pg_temp.stripe('c', '{"customer": "cus_1", "client_reference_id": null}'),
  'processed ada', 'The customer is whose it was first.'
);
select is(
  pg_temp.stripe('d', '{"customer": {"id": "cus_1", "email": "ada@example.com"}}'),
  'processed ada', 'A customer told in full is the same.'
);
select is(
  pg_temp.stripe('e', '{"client_reference_id": "a cart", "customer": "cus_1"}'),
  'processed ada', 'A reference to something else is passed over.'
);
select is(
  pg_temp.stripe('f', '{"client_reference_id": "dee00000-0000-4000-8000-000000000000", "customer": "cus_2"}'),
  'parked unknown_user', 'Somebody who is not here yet is waited for.'
);
select is(
  pg_temp.stripe('g', '{"customer": "cus_3", "customer_details": {"email": "ada@example.com"}}'),
  'parked unknown_user', 'An address is no proof of who it is.'
);
select is(
  pg_temp.stripe('h', '{"client_reference_id": "bea00000-0000-4000-8000-000000000000", "customer": "cus_3"}'),
  'processed bea', 'The customer turns out to be Bea.'
);
select results_eq(
  'select user_id, credits_remaining from public.user_credits order by user_id',
  $$ values ('ada00000-0000-4000-8000-000000000000'::uuid, 400::bigint), ('bea00000-0000-4000-8000-000000000000', 300) $$,
  'What waited under that customer is Bea''s too.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
