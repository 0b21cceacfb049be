-- RevenueCat tells of a refund by a cancellation for which support is the reason, and of Apple's change of mind by REFUND_REVERSED.
-- The reason decides, never the sign of a price; any order of the three events ends alike.

begin;
select plan(9);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, 'pro', null, null, null);
select credits_private.set_product('any', 'other', 7, 0, 0, null, null, null, null, null, null);

create temp table said (name text, fields jsonb);
insert into said
values
  ('bought', '{"type": "NON_RENEWING_PURCHASE", "price": 9.99, "currency": "EUR", "price_in_purchased_currency": 9.99}'),
  ('other', '{"type": "NON_RENEWING_PURCHASE", "product_id": "other"}'),
  ('refunded', '{"type": "CANCELLATION", "cancel_reason": "CUSTOMER_SUPPORT", "price": -9.99}'),
  ('refunded_for_a_price', '{"type": "CANCELLATION", "cancel_reason": "CUSTOMER_SUPPORT", "price": 9.99}'),
  ('unsubscribed', '{"type": "CANCELLATION", "cancel_reason": "UNSUBSCRIBE", "price": -9.99}'),
  ('cancelled', '{"type": "CANCELLATION", "price": -9.99, "price_in_purchased_currency": -9.99}'),
  ('reversed', '{"type": "REFUND_REVERSED"}');

create function pg_temp.after(names text[])
  returns text
  language plpgsql
as $$
declare
  v_name text;
begin
  foreach v_name in array names || names loop
    perform public.process_revenuecat_event(
      jsonb_build_object(
        'event', '{"app_user_id": "ada00000-0000-4000-8000-000000000000", "store": "APP_STORE", "environment": "PRODUCTION",
          "transaction_id": "1", "product_id": "pack"}'::jsonb || jsonb_build_object('id', v_name) || s.fields
      )::json
    )
    from said as s
    where s.name = v_name;
  end loop;
  raise exception using
    errcode = 'UC000',
    message = (
      select format(
        '%s of %s taken, %s, balance %s, %s%s', p.refunded_credits, p.credits, p.status, a.credits_remaining,
        case when public.has_entitlement_for(p.user_id, 'pro') then 'pro' else 'not pro' end,
        case when exists (select from public.verify_ledger()) then ', wrong' end
      )
      from public.purchase_transactions as p
      join public.user_credits as a using (user_id)
      where p.product_id = 'pack'
    );
exception
  when sqlstate 'UC000' then
    return sqlerrm;
end;
$$;

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

select is(pg_temp.after('{bought}'), '0 of 100 taken, completed, balance 100, pro', 'It is bought.');
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,refunded}') as o $$,
  $$ values ('100 of 100 taken, refunded, balance 0, not pro') $$,
  'A refund takes all of it, its entitlement too, before its purchase or after.'
);
select is(
  pg_temp.after('{bought,refunded_for_a_price}'), '100 of 100 taken, refunded, balance 0, not pro',
  'It does so whatever sign the price has.'
);
select is(
  pg_temp.after('{bought,unsubscribed}'), '0 of 100 taken, completed, balance 100, pro',
  'Whoever ends a subscription gives nothing back.'
);
select is(
  pg_temp.after('{bought,cancelled}'), '0 of 100 taken, completed, balance 100, pro',
  'A negative price without the reason is no refund.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,refunded,reversed}') as o $$,
  $$ values ('0 of 100 taken, completed, balance 100, pro') $$,
  'A refund that was reversed gives everything back, in any order.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,reversed}') as o $$,
  $$ values ('0 of 100 taken, completed, balance 100, pro') $$,
  'A reversal alone gives nothing.'
);
select results_eq(
  $$ select distinct pg_temp.after(o) from pg_temp.orders('{bought,other,refunded}') as o $$,
  $$ values ('100 of 100 taken, refunded, balance 7, not pro') $$,
  'Another product of the same transaction is not refunded with it.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
