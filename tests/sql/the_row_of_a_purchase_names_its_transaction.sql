-- The ledger row of a purchase says which product of which transaction it is, under a key of our own, and the balance
-- remembers when it last saw one. Clawbacks and their reversals name it too, and are no purchases.

begin;
select plan(9);

insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'com.example.pack:base', 100, 0, 0, null, null, null, null, null, null);

select is((select last_purchase_at from public.user_credits), null, 'Nothing was bought yet.');
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'Play_Store', 'GPA.1', 'com.example.pack:base');
select results_eq(
  $$ select type::text, amount, balance_after, description, metadata from public.credit_transactions where seq = 2 $$,
  $$
    values (
      'purchase', 100::bigint, 103::bigint, 'Purchase of com.example.pack:base',
      '{"store": "play_store", "environment": "PRODUCTION", "transaction_id": "GPA.1", "product_id": "com.example.pack:base"}'::jsonb
    )
  $$,
  'The row names store, environment, transaction and product.'
);
select ok(
  (select idempotency_key like 'credits:%' from public.credit_transactions where seq = 2),
  'Its key is one that no caller can take.'
);
select results_eq(
  'select seq from public.purchase_transactions', 'values (2::bigint)',
  'The purchase knows its row.'
);
select results_eq(
  'select last_purchase_at from public.user_credits', 'select created_at from public.credit_transactions where seq = 2',
  'The balance knows when it was.'
);

create temp table bought_at as select last_purchase_at as at from public.user_credits;
select public.process_revenuecat_event(
  format(
    '{"event": {"id": %1$s, "type": %1$s, "cancel_reason": "CUSTOMER_SUPPORT", "store": "PLAY_STORE",
      "environment": "PRODUCTION", "transaction_id": "GPA.1", "product_id": "com.example.pack:base"}}', to_json(type)
  )::json
)
from unnest(array['CANCELLATION', 'REFUND_REVERSED']) as types (type);
select results_eq(
  $$ select type::text, amount, metadata ->> 'transaction_id' from public.credit_transactions where seq > 2 order by seq $$,
  $$ values ('clawback', -100::bigint, 'GPA.1'), ('clawback_reversal', 100, 'GPA.1') $$,
  'Refund and reversal name the transaction.'
);
select results_eq(
  'select last_purchase_at from public.user_credits', 'select at from bought_at',
  'They are no purchases.'
);
select results_eq(
  'select credits_remaining, total_credits, used_credits from public.user_credits',
  'values (103::bigint, 103::bigint, 0::bigint)',
  'None of it is use.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
