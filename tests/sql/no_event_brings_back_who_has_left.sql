-- What a store tells of somebody who has left, by their id or by a name that it had for them, is ignored and kept without its
-- body. Of what is somebody else's too, it is kept without them, and so it is where only their address stands, which anybody may
-- pay with. A name counts again when a living user turns out to have it.

begin;
select plan(30);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id, email, email_confirmed_at)
values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com', now()), ('bea00000-0000-4000-8000-000000000000', 'bea@example.com', null);
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, 'pro', null, null, null);

create function pg_temp.revenuecat(id text, type text, fields jsonb)
  returns text
  language sql
as $$
  select concat_ws(' ', e.state, e.reason)
  from public.process_revenuecat_event(
    jsonb_build_object(
      'event', '{"store": "APP_STORE", "environment": "PRODUCTION", "product_id": "pack"}'::jsonb
      || jsonb_build_object('id', id, 'type', type, 'transaction_id', id) || fields
    )::json
  ) as e
$$;
create function pg_temp.stripe(id text, type text, object jsonb)
  returns text
  language sql
as $$
  select concat_ws(' ', e.state, e.reason)
  from public.process_stripe_event(
    jsonb_build_object('id', id, 'type', type, 'livemode', true, 'data', jsonb_build_object('object', object))::json
  ) as e
$$;
create function pg_temp.body(id text)
  returns text
  language sql
as $$
  select e.body::text from credits_private.store_events as e where e.event_id = id
$$;

-- before
select pg_temp.revenuecat('1', 'INITIAL_PURCHASE', '{"app_user_id": "ada00000-0000-4000-8000-000000000000", "aliases": ["$RCAnonymousID:ada", "42"]}');
select pg_temp.stripe('s1', 'checkout.session.completed', '{"id": "cs_1", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_1",
  "customer": "cus_ada", "client_reference_id": "ada00000-0000-4000-8000-000000000000", "metadata": {"product_id": "pack"}}');
select pg_temp.stripe('guest', 'checkout.session.completed', '{"id": "cs_2", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_2",
  "customer_details": {"email": "Ada@Example.com"}, "metadata": {"product_id": "pack"}}');
select pg_temp.stripe('gift', 'checkout.session.completed', '{"id": "cs_3", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_3",
  "client_reference_id": "bea00000-0000-4000-8000-000000000000", "metadata": {"product_id": "pack", "to": "a gift to ADA@example.com.", "id": "Ada00000-0000-4000-8000-000000000000"}}');
select pg_temp.revenuecat('move', 'TRANSFER', '{"transferred_from": ["ada00000-0000-4000-8000-000000000000", "42"], "transferred_to": ["bea00000-0000-4000-8000-000000000000"], "event_timestamp_ms": 1742}');
select is(
  (select jsonb_array_length(public.export_user_data_for('ada00000-0000-4000-8000-000000000000') #> '{tables,credits_private.store_events}')),
  3, 'An export has the events of Ada and the one with her address.'
);
select is((select count(*) from credits_private.store_event_names where name = 'ada@example.com'), 2::bigint, 'Her address is known in two.');
select public.delete_user_account_for('ada00000-0000-4000-8000-000000000000');

select is(pg_temp.body(id), null, format('%s has no body.', id)) from unnest(array['1', 's1']) as ids (id);
select is(
  (select concat_ws(' ', state, reason) from credits_private.store_events where event_id = 'guest'), 'parked unknown_user',
  'What waited under her address alone waits on.'
);
select is(
  pg_temp.body('guest')::jsonb #>> '{data,object,customer_details,email}', '00000000-0000-0000-0000-000000000000', 'Without the address.'
);
select is(
  pg_temp.body('gift')::jsonb #>> '{data,object,metadata,to}', 'a gift to 00000000-0000-0000-0000-000000000000.',
  'What is Bea''s has not her address.'
);
select ok(lower(pg_temp.body('gift')) not like '%ada00000%', 'Nor her id.');
select ok(pg_temp.body('gift') like all (array['%bea00000%', '%pi_3%']), 'And all the rest.');
select is(
  pg_temp.body('move')::jsonb #>> '{event,event_timestamp_ms}', '1742', 'A short name is taken out where it is a name, and not out of figures.'
);
select is(
  pg_temp.body('move')::jsonb #> '{event,transferred_from}', '["00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"]',
  'Of a transfer to Bea her side is gone.'
);
select is_empty(
  $$ select from credits_private.store_event_names where lower(name) like '%ada%' or name = '42' $$, 'No list of names has her.'
);

-- later
select is(pg_temp.revenuecat('l' || place, type, fields), 'ignored account_closed', what)
from (
  values
    (1, 'RENEWAL', '{"app_user_id": "ADA00000-0000-4000-8000-000000000000"}'::jsonb, 'A renewal by id is closed.'),
    (2, 'RENEWAL', '{"app_user_id": "$RCAnonymousID:ada"}', 'By another name too.'),
    (3, 'TRANSFER', '{"transferred_from": ["bea00000-0000-4000-8000-000000000000"], "transferred_to": ["ada00000-0000-4000-8000-000000000000"]}', 'So is a transfer to her.'),
    (4, 'CANCELLATION', '{"cancel_reason": "CUSTOMER_SUPPORT", "app_user_id": "ada00000-0000-4000-8000-000000000000"}', 'So is a refund of what we never heard of.'),
    (5, 'BILLING_ISSUE', '{"app_user_id": "42"}', 'So is what changes nothing.')
) as late (place, type, fields, what)
order by place;
select is(
  pg_temp.stripe('l6', 'invoice.paid', '{"id": "in_1", "customer": "cus_ada", "lines": {"data": [{"price": {"id": "pack"}, "quantity": 1, "amount": 1}]}, "currency": "eur", "amount_paid": 1}'),
  'ignored account_closed', 'So is an invoice to a customer of Stripe.'
);
select is(
  pg_temp.stripe('l7', 'setup_intent.created', '{"metadata": {"user_id": "ada00000-0000-4000-8000-000000000000"}, "receipt_email": "ada@example.com"}') like 'ignored %', true,
  'What nobody reads is ignored.'
);
select is_empty($$ select event_id from credits_private.store_events where event_id like 'l_' and body is not null $$, 'None of these has a body.');
select is(
  pg_temp.revenuecat('m1', 'TRANSFER', '{"transferred_from": ["ada00000-0000-4000-8000-000000000000"], "transferred_to": ["bea00000-0000-4000-8000-000000000000"]}'),
  'processed', 'A transfer to Bea is hers.'
);
select ok(pg_temp.body('m1') like all (array['%"00000000-0000-0000-0000-000000000000"%', '%bea00000%']), 'Its body does not name who it is from.');

-- a late event with no more than the address
select is(
  pg_temp.stripe(id, 'checkout.session.completed', jsonb_build_object('id', id, 'mode', 'payment', 'payment_status', 'paid', 'payment_intent', id,
    'customer_details', jsonb_build_object('email', address), 'metadata', '{"product_id": "pack"}'::jsonb)),
  'parked unknown_user', format('A payment of a guest with %s is not closed.', address)
)
from (values ('a1', 'Ada@example.com'), ('a2', 'bea@example.com')) as late (id, address);
select ok(
  pg_temp.body('a1') not ilike '%ada@%' and pg_temp.body('a1') like '%00000000-0000-0000-0000-000000000000%',
  'It is stored without the address.'
);
select ok(pg_temp.body('a2') like '%bea@example.com%', 'The address of somebody who is here stays.');
select is_empty($$ select from credits_private.store_event_names where name = 'ada@example.com' $$, 'No list of names has it.');

-- somebody who never had an account
set local session_replication_role = replica;
insert into auth.users (id, email) values ('cee00000-0000-4000-8000-000000000000', 'cee@example.com');
set local session_replication_role = origin;
select pg_temp.revenuecat('c1', 'BILLING_ISSUE', '{"app_user_id": "cee00000-0000-4000-8000-000000000000", "aliases": ["$RCAnonymousID:cee"]}');
delete from auth.users where id = 'cee00000-0000-4000-8000-000000000000';
select is(pg_temp.revenuecat('c2', 'RENEWAL', '{"app_user_id": "$RCAnonymousID:cee"}'), 'ignored account_closed', 'Who left without an account has left.');

-- the same device, the same customer, another account
insert into auth.users (id, email) values ('ada10000-0000-4000-8000-000000000000', 'ada@example.com');
select is(
  pg_temp.revenuecat('n1', 'INITIAL_PURCHASE', '{"app_user_id": "ada10000-0000-4000-8000-000000000000", "aliases": ["$RCAnonymousID:ada"]}'), 'processed',
  'Who comes back buys again.'
);
select is(pg_temp.revenuecat('n2', 'RENEWAL', '{"app_user_id": "$RCAnonymousID:ada"}'), 'processed', 'A name that is theirs now is theirs.');

select * from finish();
rollback;
