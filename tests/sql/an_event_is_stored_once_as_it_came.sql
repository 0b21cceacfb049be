-- An event is one row of the inbox, known by the id that its provider gave it, or by the hash of its body where it has none.
-- Its body is kept to the byte. Sent again it is answered from the inbox, whatever the second body says.

begin;
select plan(16);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);
create temp table sent (body text);
insert into sent
values (
  E'{ "event" :\t{"id":"a","id":"1", "type":"NON_RENEWING_PURCHASE","price": 9.990, "note":"\\u00e9\\u00E9", "app_user_id":"ada00000-0000-4000-8000-000000000000",\r\n'
  '"store":"APP_STORE","environment":"PRODUCTION","transaction_id":"1","product_id":"pack"} , "later": 1e2 }'
);

select results_eq(
  'select provider, event_id, type, state::text, attempts from sent, public.process_revenuecat_event(body::json)',
  $$ values ('revenuecat', '1', 'NON_RENEWING_PURCHASE', 'processed', 1) $$,
  'An event is known by its id.'
);
select results_eq(
  'select body::text from credits_private.store_events', 'select body from sent', 'It is kept to the byte.'
);
create temp table before as select * from credits_private.store_events;
select results_eq(
  'select state::text, attempts, user_id from sent, public.process_revenuecat_event(body::json)',
  $$ values ('processed', 1, 'ada00000-0000-4000-8000-000000000000'::uuid) $$,
  'Again it is answered from the inbox.'
);
select results_eq(
  $$
    select state::text, transaction_id
    from public.process_revenuecat_event(
      '{"event": {"id": "1", "type": "NON_RENEWING_PURCHASE", "app_user_id": "ada00000-0000-4000-8000-000000000000",
        "store": "APP_STORE", "environment": "PRODUCTION", "transaction_id": "2", "product_id": "pack"}}'
    )
  $$,
  $$ values ('processed', '1') $$,
  'Another body under its id is not looked at.'
);
select results_eq(
  'select provider, event_id, state, attempts, processed_at, body::text from credits_private.store_events',
  'select provider, event_id, state, attempts, processed_at, body::text from before',
  'The row is as it was.'
);
select is((select credits_remaining from public.user_credits), 100::bigint, 'One purchase is credited.');
select is(
  (public.process_stripe_event('{"id": "1", "type": "product.created", "livemode": true, "data": {"object": {}}}')).state, 'ignored',
  'Another provider may use the same id.'
);
select is((select count(*) from credits_private.store_events), 2::bigint, 'That is another event.');

-- without an id
select is(
  (public.process_stripe_event(body::json)).event_id, 'sha256:' || encode(sha256(convert_to(body, 'UTF8')), 'hex'),
  format('%s is known by its hash.', body)
)
from unnest(array['{}', '{"id": 7}', '{"id": ""}', '{"id": "a\u0000b"}']) as bodies (body);
select is(
  (public.process_stripe_event(format('{"id": "%s"}', repeat('x', 256))::json)).event_id like 'sha256:%', true,
  'So is one whose id is too long.'
);
select is((public.process_stripe_event('{}')).attempts, 2, 'The same body again is the same event.');
select is((public.process_stripe_event('{} ')).attempts, 1, 'Another space is another body.');
select throws_ok(
  $$ select public.process_stripe_event(format('{"a": "%s"}', repeat('x', 1048576))::json) $$, 'PT413', 'payload_too_large',
  'More than 1 MiB is refused before any work.'
);

select * from finish();
rollback;
