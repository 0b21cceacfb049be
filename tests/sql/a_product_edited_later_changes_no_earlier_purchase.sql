-- A purchase keeps the figures of its day. Neither an edit nor the end of its product changes what it is worth, what a
-- refund of it takes or which entitlement came with it, and the same purchase told again is not valued anew.

begin;
select plan(8);

insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 10, 0, 999, 'EUR', 'pro', null, null, null);
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'app_store', '1', 'pack', 999, 'EUR');
create temp table bought as select * from public.purchase_transactions;
create temp table balance_before as select * from public.user_credits;

select credits_private.set_product('any', 'pack', 5000, 0, 7, 1999, 'USD', 'gold', null, null, null);
select results_eq(
  'select * from public.purchase_transactions', 'select * from bought',
  'An edit of the product changes nothing in the purchase.'
);
select results_eq(
  $$ select * from public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'app_store', '1', 'pack', 999, 'EUR') $$,
  'select * from bought',
  'The same purchase again is answered as it was.'
);
select is(
  (
    public.process_revenuecat_event(
      '{"event": {"id": "a", "type": "NON_RENEWING_PURCHASE", "app_user_id": "ada00000-0000-4000-8000-000000000000",
        "store": "APP_STORE", "environment": "PRODUCTION", "transaction_id": "1", "product_id": "pack"}}'
    )
  ).state,
  'processed',
  'Its event arrives late, at the new figures.'
);
select results_eq(
  'select * from public.purchase_transactions', 'select * from bought',
  'It changes nothing either.'
);
select results_eq(
  'select * from public.user_credits', 'select * from balance_before',
  'The balance is as it was.'
);

delete from public.credit_products;
select public.refund_purchase('app_store', '1', 'refund-1');
select results_eq(
  'select status::text, credits, refunded_credits from public.purchase_transactions',
  $$ values ('refunded', 110::bigint, 110::bigint) $$,
  'A refund takes what was granted, although the product is gone.'
);
select is((select credits_remaining from public.user_credits), 3::bigint, 'The signup bonus is left.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
