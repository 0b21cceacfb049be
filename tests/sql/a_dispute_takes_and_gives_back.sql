-- A dispute takes its credits when it is opened and gives them back when it is won, in whatever order its events come. An
-- inquiry moves no money. A dispute and a refund of one charge never take more than was bought.

begin;
select plan(17);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 1000, 0, 0, null, null, null, null, null, null);

-- 10.00 are paid for 1000 credits
create temp table said (name text, body jsonb);
insert into said
values
  ('bought', '{"id": "evt_bought", "type": "checkout.session.completed", "livemode": true, "data": {"object": {
    "id": "cs_1", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_1", "currency": "eur",
    "amount_subtotal": 1000, "amount_total": 1000, "metadata": {"product_id": "pack"},
    "client_reference_id": "ada00000-0000-4000-8000-000000000000"}}}');
insert into said
select
  d.name,
  jsonb_build_object(
    'id', 'evt_' || d.name, 'type', 'charge.dispute.' || d.type, 'livemode', true,
    'data', jsonb_build_object(
      'object', jsonb_build_object(
        'id', 'dp_1', 'charge', 'ch_1', 'payment_intent', 'pi_1', 'amount', d.cents, 'status', d.status, 'currency', 'eur'
      )
    )
  )
from (
  values
    ('inquiry', 'created', 1000, 'warning_needs_response'),
    ('inquiry_review', 'updated', 1000, 'warning_under_review'),
    ('inquiry_closed', 'closed', 1000, 'warning_closed'),
    ('charge_refunded', 'closed', 1000, 'charge_refunded'),
    ('opened', 'created', 1000, 'needs_response'),
    ('review', 'updated', 1000, 'under_review'),
    ('withdrawn', 'funds_withdrawn', 1000, 'needs_response'),
    ('lost', 'closed', 1000, 'lost'),
    ('won', 'closed', 1000, 'won'),
    ('reinstated', 'funds_reinstated', 1000, 'under_review'),
    ('partial', 'created', 400, 'needs_response'),
    ('partial_won', 'closed', 400, 'won')
) as d (name, type, cents, status);
insert into said
values
  ('dollars', '{"id": "evt_dollars", "type": "charge.dispute.created", "livemode": true, "data": {"object": {
    "id": "dp_2", "charge": "ch_1", "payment_intent": "pi_1", "amount": 1, "status": "needs_response", "currency": "usd"}}}'),
  ('refunded', '{"id": "evt_refunded", "type": "charge.refunded", "livemode": true, "data": {"object": {
    "id": "ch_1", "payment_intent": "pi_1", "amount": 1000, "amount_refunded": 1000, "refunded": true, "currency": "eur"}}}'),
  ('refunded_300', '{"id": "evt_refunded_300", "type": "charge.refunded", "livemode": true, "data": {"object": {
    "id": "ch_1", "payment_intent": "pi_1", "amount": 1000, "amount_refunded": 300, "refunded": false, "currency": "eur"}}}'),
  ('by_charge', '{"id": "evt_by_charge", "type": "charge.dispute.created", "livemode": true, "data": {"object": {
    "id": "dp_1", "charge": "ch_1", "payment_intent": null, "amount": 1000, "status": "needs_response", "currency": "eur"}}}');

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

-- what it comes to when these are told in this order, and then all of them once more; nothing of it stays
create function pg_temp.after(names text[])
  returns text
  language plpgsql
as $$
declare
  v_name text;
begin
  foreach v_name in array names || names loop
    perform public.process_stripe_event((select s.body from said as s where s.name = v_name)::json);
  end loop;
  raise exception using
    errcode = 'UC000',
    message = (
      select format(
        '%s of %s taken, %s, balance %s%s', p.refunded_credits, p.credits, p.status, a.credits_remaining,
        case when exists (select from public.verify_ledger()) then ', wrong' end
      )
      from public.purchase_transactions as p
      join public.user_credits as a using (user_id)
    );
exception
  when sqlstate 'UC000' then
    return sqlerrm;
end;
$$;

select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,opened}') as o $$,
  $$ values ('1000 of 1000 taken, refunded, balance 0') $$,
  'A dispute takes when it is opened.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,opened,review,withdrawn}') as o $$,
  $$ values ('1000 of 1000 taken, refunded, balance 0') $$,
  'It takes once, however often it is told.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,opened,withdrawn,lost}') as o $$,
  $$ values ('1000 of 1000 taken, refunded, balance 0') $$,
  'Lost, it keeps what it took.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,opened,withdrawn,won}') as o $$,
  $$ values ('0 of 1000 taken, completed, balance 1000') $$,
  'Won, it gives everything back.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,opened,withdrawn,reinstated,won}') as o $$,
  $$ values ('0 of 1000 taken, completed, balance 1000') $$,
  'So it does when the money is told to be back.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,withdrawn,reinstated}') as o $$,
  $$ values ('0 of 1000 taken, completed, balance 1000') $$,
  'Money that is back is enough.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,inquiry,inquiry_review,inquiry_closed}') as o $$,
  $$ values ('0 of 1000 taken, completed, balance 1000') $$,
  'An inquiry takes nothing.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,inquiry,opened}') as o $$,
  $$ values ('1000 of 1000 taken, refunded, balance 0') $$,
  'An inquiry that becomes a dispute takes.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,charge_refunded}') as o $$,
  $$ values ('0 of 1000 taken, completed, balance 1000') $$,
  'A dispute that ended by a refund leaves the taking to the refund.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,charge_refunded,refunded}') as o $$,
  $$ values ('1000 of 1000 taken, refunded, balance 0') $$,
  'The refund takes.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,opened,lost,refunded}') as o $$,
  $$ values ('1000 of 1000 taken, refunded, balance 0') $$,
  'A dispute and a refund of one charge take once.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,partial}') as o $$,
  $$ values ('400 of 1000 taken, completed, balance 600') $$,
  'A dispute of a part takes its part.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,partial,refunded_300}') as o $$,
  $$ values ('700 of 1000 taken, completed, balance 300') $$,
  'The refund of another part adds to it.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,partial,partial_won,refunded_300}') as o $$,
  $$ values ('300 of 1000 taken, completed, balance 700') $$,
  'Won, only the refund is left.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,opened,won,refunded}') as o $$,
  $$ values ('1000 of 1000 taken, refunded, balance 0') $$,
  'A refund after a dispute that was won takes.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,dollars}') as o $$,
  $$ values ('1000 of 1000 taken, refunded, balance 0') $$,
  'A dispute in another currency than was paid takes all.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,by_charge,refunded_300}') as o $$,
  $$ values ('1000 of 1000 taken, refunded, balance 0') $$,
  'A dispute that names the charge alone finds its payment by whoever names both.'
);

select * from finish();
rollback;
