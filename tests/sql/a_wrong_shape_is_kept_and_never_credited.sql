-- JSON that is not what the provider documents is kept with a reason, whatever it is, and credits nothing: no call raises, so
-- that no store gives up, and nothing is tried again for ever.

begin;
select plan(82);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, 'pro', null, null, null);

create temp table bodies (place serial, what text, body text);
insert into bodies (what, body)
values
  ('null', 'null'), ('true', 'true'), ('a number', '1'), ('a text', '"x"'), ('an array', '[]'), ('an object without anything', '{}'),
  ('an array of events', '[{"event": {"type": "INITIAL_PURCHASE"}, "type": "charge.refunded"}]'),
  ('a deep array', repeat('[', 2000) || repeat(']', 2000)),
  ('a deeper array', repeat('[', 6000) || repeat(']', 6000)),
  ('a deep object', repeat('{"event":', 2000) || '1' || repeat('}', 2000)),
  ('types that are objects', '{"type": {}, "event": {"type": {}}}'),
  ('types that are empty', '{"type": "", "event": {"type": ""}}'),
  ('types of 256 characters', format('{"type": "%1$s", "event": {"type": "%1$s"}}', repeat('x', 256))),
  ('events without what they are about', '{"type": "charge.refunded", "event": {"type": "INITIAL_PURCHASE"}}'),
  ('objects that are texts', '{"type": "charge.refunded", "livemode": true, "data": "x", "event": "x"}'),
  ('an object that is an array', '{"type": "charge.refunded", "livemode": true, "data": {"object": []}, "event": []}'),
  ('a NUL in the type', '{"type": "a\u0000", "event": {"type": "a\u0000"}}'),
  ('half a character in the type', '{"type": "\ud800", "event": {"type": "\ud800"}}');

-- a sound event of each provider, with one thing wrong in it
create temp table sound (provider text, body text);
insert into sound
values
  ('revenuecat', '{"event": {"id": "%s", "type": "INITIAL_PURCHASE", "app_user_id": "ada00000-0000-4000-8000-000000000000",
    "store": "APP_STORE", "environment": "PRODUCTION", "transaction_id": "1", "product_id": "pack", "currency": "EUR", %s}}'),
  ('stripe', '{"id": "%s", "type": "checkout.session.completed", "livemode": true, "data": {"object": {"id": "cs_1",
    "mode": "payment", "payment_status": "paid", "client_reference_id": "ada00000-0000-4000-8000-000000000000",
    "metadata": {"product_id": "pack"}, "amount_subtotal": 999, "amount_total": 999, "currency": "eur", %s}}}'),
  ('invoice', '{"id": "%s", "type": "invoice.paid", "livemode": true, "data": {"object": {"id": "in_1", "amount_paid": 999,
    "currency": "eur", "metadata": {"user_id": "ada00000-0000-4000-8000-000000000000"}, %s}}}');
create temp table wrong (place serial, provider text, part text);
insert into wrong (provider, part)
values
  ('revenuecat', '"store": null'), ('revenuecat', '"store": ["APP_STORE"]'), ('revenuecat', '"store": ""'),
  ('revenuecat', '"transaction_id": null'), ('revenuecat', '"transaction_id": {}'), ('revenuecat', '"transaction_id": ""'),
  ('revenuecat', format('"transaction_id": "%s"', repeat('x', 256))), ('revenuecat', '"transaction_id": "1\u0000"'),
  ('revenuecat', '"transaction_id": "\ud800"'), ('revenuecat', '"product_id": null'), ('revenuecat', '"product_id": []'),
  ('revenuecat', '"environment": null'), ('revenuecat', '"environment": 1'),
  ('revenuecat', '"price_in_purchased_currency": 1e400'), ('revenuecat', '"price_in_purchased_currency": 1e131071'),
  ('revenuecat', '"price_in_purchased_currency": 99999999999999999999'), ('revenuecat', '"anything": "\u0000"'),
  ('revenuecat', '"type": "EXPIRATION"'), ('revenuecat', '"type": "EXPIRATION", "expiration_at_ms": "soon"'),
  ('revenuecat', '"type": "TRANSFER"'), ('revenuecat', '"type": "TRANSFER", "transferred_from": "x", "transferred_to": ["x"]'),
  ('stripe', '"id": null'), ('stripe', '"id": []'), ('stripe', '"payment_status": null'), ('stripe', '"payment_status": 1'),
  ('stripe', '"metadata": {"product_id": "pack", "quantity": "0"}'), ('stripe', '"metadata": {"product_id": "pack", "quantity": "-1"}'),
  ('stripe', '"metadata": {"product_id": "pack", "quantity": "1.5"}'), ('stripe', '"metadata": {"product_id": "pack", "quantity": "1e3"}'),
  ('stripe', '"metadata": {"product_id": "pack", "quantity": "1000000"}'), ('stripe', '"metadata": {"product_id": "pack", "quantity": {}}'),
  ('stripe', '"amount_subtotal": 9.5'), ('stripe', '"amount_subtotal": 1e400'), ('stripe', '"amount_subtotal": "much"'),
  ('stripe', '"amount_total": 9223372036854775808'), ('stripe', '"amount_subtotal": {}'),
  ('invoice', '"lines": null'), ('invoice', '"lines": {"data": {}}'), ('invoice', '"lines": {"data": [{"amount": "x", "price": {"id": "pack"}}]}'),
  ('invoice', '"lines": {"data": [{"amount": 1, "quantity": -1, "price": {"id": "pack"}}]}'),
  ('invoice', '"lines": {"data": [{"amount": 1, "price": {"id": "pack"}, "period": {"end": -9223372036854775808}}]}');

create function pg_temp.state_of(provider text, body text)
  returns text
  language plpgsql
as $$
declare
  v_event public.store_event;
begin
  if provider = 'revenuecat' then
    v_event := public.process_revenuecat_event(body::json);
  else
    v_event := public.process_stripe_event(body::json);
  end if;
  return concat_ws(' ', v_event.state, v_event.reason);
end;
$$;
select is(
  pg_temp.state_of(p.provider, b.body), 'failed wrong_shape', format('From %s %s is no event.', initcap(p.provider), b.what)
)
from bodies as b
cross join unnest(array['revenuecat', 'stripe']) as p (provider)
order by b.place, p.provider;
select is(
  pg_temp.state_of(w.provider, format(s.body, 'wrong-' || w.place, w.part)), 'failed wrong_shape',
  format('%s is not what %s says.', left(w.part, 60), initcap(w.provider))
)
from wrong as w
join sound as s using (provider)
order by w.place;

select is((select credits_remaining from public.user_credits), 0::bigint, 'Nothing was credited.');
select is_empty('select * from public.purchase_transactions', 'Nothing was bought.');
select is_empty(
  $$ select * from credits_private.store_events where state <> 'failed' or body is null or retry_at is not null $$,
  'All of it is kept, and none is tried again by itself.'
);
select results_eq(
  $$
    select pg_temp.state_of(provider, format(body, 'right-' || provider, '"x": 1, "lines": {"data": [{"amount": 1, "price": {"id": "pack"}}]}'))
    from sound
    order by provider
  $$,
  $$ values ('processed'), ('processed'), ('processed') $$,
  'With nothing wrong in it each of them is a purchase.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
