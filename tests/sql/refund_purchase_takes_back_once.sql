-- refund_purchase takes back all of a purchase, or so many credits of it, under the refund's own name: again it changes
-- nothing, and with another amount it is refused. It never takes more than was bought.

begin;
select plan(18);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'paddle', 'txn_1', 'pack');
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'paddle', 'txn_2', 'pack');

select results_eq(
  $$ select transaction_id, status::text, refunded_credits from public.refund_purchase('paddle', 'txn_1', 'a', 30) $$,
  $$ values ('txn_1', 'completed', 30::bigint) $$,
  'Some credits of it go back, and the answer is the purchase.'
);
select results_eq(
  'select type::text, amount, balance_after from public.credit_transactions order by seq desc limit 1',
  $$ values ('clawback', -30::bigint, 170::bigint) $$,
  'The ledger has a row of it.'
);
create temp table before as select * from public.user_credits;
select results_eq(
  $$ select transaction_id, status::text, refunded_credits from public.refund_purchase('PADDLE', 'txn_1', 'a', 30) $$,
  $$ values ('txn_1', 'completed', 30::bigint) $$,
  'Again it answers the same.'
);
select results_eq('select * from public.user_credits', 'select * from before', 'Again it changes nothing.');
select throws_ok(
  $$ select public.refund_purchase('paddle', 'txn_1', 'a', 31) $$, 'PT422', 'idempotency_key_reused',
  'The same name with another amount is refused.'
);
select throws_ok(
  $$ select public.refund_purchase('paddle', 'txn_1', 'a') $$, 'PT422', 'idempotency_key_reused',
  'So is the same name for all of it.'
);
select results_eq(
  $$ select status::text, refunded_credits from public.refund_purchase('paddle', 'txn_1', 'b', 30) $$,
  $$ values ('completed', 60::bigint) $$,
  'Another refund adds to the first.'
);
select results_eq(
  $$ select status::text, refunded_credits from public.refund_purchase('paddle', 'txn_1', 'c', 1000000000000) $$,
  $$ values ('refunded', 100::bigint) $$,
  'Too much takes what is left.'
);
select results_eq(
  $$ select status::text, refunded_credits from public.refund_purchase('paddle', 'txn_1', 'd') $$,
  $$ values ('refunded', 100::bigint) $$,
  'All of nothing is nothing.'
);
select results_eq(
  $$ select status::text, refunded_credits from public.refund_purchase('paddle', 'txn_2', 'a') $$,
  $$ values ('refunded', 100::bigint) $$,
  'All of another purchase goes back under a name that was used for the first.'
);
select is((select credits_remaining from public.user_credits), 0::bigint, 'Nothing is left of both.');
select throws_ok(
  $$ select public.refund_purchase('paddle', 'txn_3', 'a') $$, 'PT404', 'transaction_not_found',
  'What nobody bought cannot be refunded.'
);
select throws_ok(
  $$ select public.refund_purchase('paddle', 'txn_1', 'a', environment => 'SANDBOX') $$, 'PT404', 'transaction_not_found',
  'A purchase for real is none in the sandbox.'
);
select throws_ok(
  format('select public.refund_purchase(%L, %L, %L, %L)', 'paddle', 'txn_1', id, credits), '22023', message,
  format('A refund %L of %L credits makes no sense.', left(id, 10), credits)
)
from (
  values ('', 1, 'invalid_argument'), (null, 1, 'invalid_argument'), (repeat('x', 256), 1, 'invalid_argument'), ('e', 0, 'invalid_amount')
) as wrong (id, credits, message);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
