-- Stripe bills for seats and metered usage in the invoice that sells credits. Those lines are no business of ours, whatever their
-- numbers, and their refund is not a refund of the credits.

begin;
select plan(7);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, 'life', null, null, null);
select credits_private.set_product('any', 'free_plan', 25, 0, 1, null, null, null, null, null, null);
create function pg_temp.stripe(id text, type text, object jsonb)
  returns text
  language sql
as $$
  select e.state::text
  from public.process_stripe_event(
    jsonb_build_object('id', id, 'object', 'event', 'type', type, 'livemode', true, 'data', jsonb_build_object('object', object))::json
  ) as e
$$;

select is(
  pg_temp.stripe('1', 'invoice.paid', '{"id": "in_1", "payment_intent": "pi_1", "currency": "usd", "amount_paid": 5500,
    "subtotal": 5500, "total": 5500, "metadata": {"user_id": "ada00000-0000-4000-8000-000000000000"}, "lines": {"data": [
      {"amount": 500, "quantity": 1, "price": {"id": "pack"}, "period": {"start": 1700000000, "end": 1700000000}},
      {"amount": 0, "quantity": 0, "price": {"id": "metered"}}, {"amount": 0, "quantity": 1200345, "price": {"id": "metered_2"}},
      {"amount": 5000, "quantity": 5, "price": {"id": "seats"}}
    ]}}'),
  'processed', 'What is sold is found among the rest.'
);
select is((select credits_remaining from public.user_credits), 100::bigint, 'It is credited.');
select ok(
  public.has_entitlement_for('ada00000-0000-4000-8000-000000000000', 'life'),
  'An item that is billed once has no end.'
);
select pg_temp.stripe('2', 'charge.refunded', '{"id": "ch_1", "payment_intent": "pi_1", "amount": 5500, "amount_refunded": 550, "currency": "usd"}');
select is(
  (select credits_remaining from public.user_credits), 90::bigint,
  'A tenth of the invoice is a tenth of the credits.'
);
select pg_temp.stripe('3', 'charge.refunded', '{"id": "ch_1", "payment_intent": "pi_1", "amount": 5500, "amount_refunded": 5500, "refunded": true, "currency": "usd"}');
select is((select credits_remaining from public.user_credits), 0::bigint, 'All of it is all of them.');
select pg_temp.stripe('4', 'invoice.paid', '{"id": "in_2", "currency": "usd", "amount_paid": 0, "metadata": {"user_id":
  "ada00000-0000-4000-8000-000000000000"}, "lines": {"data": [{"amount": 0, "quantity": 1, "price": {"id": "free_plan", "unit_amount": 0}}]}}');
select is((select credits_remaining from public.user_credits), 25::bigint, 'A plan that costs nothing is no trial.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
