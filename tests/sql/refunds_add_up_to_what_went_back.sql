-- Stripe tells of refunds as the growing total of a charge, one by one, or both. In any order, and before their purchase too, they
-- come to what went back, never to more than was bought, and one that fails gives back what it took.

begin;
select plan(14);

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
  format('total_%s', cents),
  jsonb_build_object(
    'id', 'evt_total_' || cents, 'type', 'charge.refunded', 'livemode', true,
    'data', jsonb_build_object(
      'object', jsonb_build_object(
        'id', 'ch_1', 'payment_intent', 'pi_1', 'amount', 1000, 'amount_refunded', cents, 'refunded', cents = 1000,
        'currency', 'eur'
      )
    )
  )
from unnest(array[300, 500, 1000]) as c (cents);
insert into said
select
  format('%s_%s_%s', coalesce(r.status, 'created'), r.id, r.cents),
  jsonb_build_object(
    'id', format('evt_%s_%s_%s', r.id, r.cents, r.status), 'type', r.type, 'livemode', true,
    'data', jsonb_build_object(
      'object', jsonb_build_object(
        'id', r.id, 'charge', 'ch_1', 'payment_intent', 'pi_1', 'amount', r.cents, 'status', r.status, 'currency', 'eur'
      )
    )
  )
from (
  values
    ('re_a', 300, 'refund.created', 'succeeded'),
    ('re_a', 300, 'refund.updated', 'pending'),
    ('re_a', 300, 'refund.failed', 'failed'),
    ('re_a', 300, 'refund.updated', 'canceled'),
    ('re_a', 300, 'refund.created', 'requires_action'),
    ('re_b', 200, 'refund.created', 'succeeded'),
    ('re_c', 900, 'charge.refund.updated', 'succeeded')
) as r (id, cents, type, status);
insert into said
values
  ('old_total', '{"id": "evt_old", "type": "charge.refunded", "livemode": true, "data": {"object": {
    "id": "ch_1", "payment_intent": "pi_1", "amount": 1000, "amount_refunded": 300, "refunded": false, "currency": "eur",
    "refunds": {"data": [{"id": "re_a", "amount": 300, "status": "succeeded"}]}}}}');

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
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,total_300}') as o $$,
  $$ values ('300 of 1000 taken, completed, balance 700') $$,
  'A partial refund takes its part, before its purchase too.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,total_300,total_500}') as o $$,
  $$ values ('500 of 1000 taken, completed, balance 500') $$,
  'A growing total is a total, not one refund more.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,total_300,total_500,total_1000}') as o $$,
  $$ values ('1000 of 1000 taken, refunded, balance 0') $$,
  'The whole amount is all of the purchase.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,succeeded_re_a_300,pending_re_a_300}') as o $$,
  $$ values ('300 of 1000 taken, completed, balance 700') $$,
  'One refund that is told twice is one.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,succeeded_re_a_300,succeeded_re_b_200}') as o $$,
  $$ values ('500 of 1000 taken, completed, balance 500') $$,
  'Two refunds are two.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,succeeded_re_a_300,succeeded_re_b_200,total_500}') as o $$,
  $$ values ('500 of 1000 taken, completed, balance 500') $$,
  'The total and what it is made of are the same money.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,succeeded_re_a_300,total_300,total_500}') as o $$,
  $$ values ('500 of 1000 taken, completed, balance 500') $$,
  'Where a refund is told by the total alone it counts all the same.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,succeeded_re_a_300,succeeded_re_c_900}') as o $$,
  $$ values ('1000 of 1000 taken, refunded, balance 0') $$,
  'More than was paid takes no more than was bought.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,old_total,succeeded_re_a_300}') as o $$,
  $$ values ('300 of 1000 taken, completed, balance 700') $$,
  'An older version that lists the refunds in the charge says the same.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,succeeded_re_a_300,failed_re_a_300}') as o $$,
  $$ values ('0 of 1000 taken, completed, balance 1000') $$,
  'A refund that fails gives back what it took.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,total_300,succeeded_re_a_300,failed_re_a_300}') as o $$,
  $$ values ('0 of 1000 taken, completed, balance 1000') $$,
  'So it does where the total had counted it.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,succeeded_re_a_300,canceled_re_a_300,succeeded_re_b_200}') as o $$,
  $$ values ('200 of 1000 taken, completed, balance 800') $$,
  'One that was cancelled leaves the others alone.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,requires_action_re_a_300}') as o $$,
  $$ values ('0 of 1000 taken, completed, balance 1000') $$,
  'One that waits for somebody takes nothing.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,requires_action_re_a_300,succeeded_re_a_300}') as o $$,
  $$ values ('300 of 1000 taken, completed, balance 700') $$,
  'It takes once it is given.'
);

select * from finish();
rollback;
