-- Credits and bonus of the product, times the quantity, in one row; a free trial is worth its own credits. More than a ledger row
-- may hold, or a balance, is not credited, and says so.

begin;
select plan(14);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 10, 5, null, null, null, null, null, null);
select credits_private.set_product('any', 'heavy', 1000000000000, 0, 0, null, null, null, null, null, null);
select credits_private.set_product('any', 'badge', 0, 0, 0, null, null, 'badge', null, null, null);

create function pg_temp.revenuecat(transaction_id text, product_id text, fields jsonb)
  returns public.store_event
  language sql
as $$
  select public.process_revenuecat_event(
    jsonb_build_object(
      'event', '{"type": "INITIAL_PURCHASE", "app_user_id": "ada00000-0000-4000-8000-000000000000", "store": "PLAY_STORE",
        "environment": "PRODUCTION"}'::jsonb
      || jsonb_build_object('id', 'event-' || transaction_id, 'transaction_id', transaction_id, 'product_id', product_id) || fields
    )::json
  )
$$;

select results_eq(
  $$
    select credits, quantity
    from public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'own', '1', 'pack', quantity => 3)
  $$,
  'values (330::bigint, 3)',
  'Three are worth three times credits and bonus.'
);
select is((select credits_remaining from public.user_credits), 330::bigint, 'They are in the balance.');
select is((select count(*) from public.credit_transactions), 1::bigint, 'It is one row.');

select pg_temp.revenuecat('2', 'pack', '{"period_type": "TRIAL", "price": 0, "price_in_purchased_currency": 0, "currency": "EUR"}');
select results_eq(
  $$ select credits, status::text from public.purchase_transactions where transaction_id = '2' $$,
  $$ values (5::bigint, 'completed') $$,
  'A free trial is worth its trial credits.'
);
select pg_temp.revenuecat('3', 'pack', '{"type": "RENEWAL", "is_trial_conversion": true, "period_type": "NORMAL"}');
select is(
  (select credits from public.purchase_transactions where transaction_id = '3'), 110::bigint,
  'The renewal that follows is worth all.'
);
select pg_temp.revenuecat('4', 'pack', '{"period_type": "INTRO"}');
select is(
  (select credits from public.purchase_transactions where transaction_id = '4'), 110::bigint,
  'So is a period at a lower price.'
);

-- what only gives an entitlement
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'own', '5', 'badge');
select results_eq(
  $$ select credits, status::text, seq from public.purchase_transactions where transaction_id = '5' $$,
  $$ values (0::bigint, 'completed', null::bigint) $$,
  'What is worth no credits is a purchase without a row.'
);
select ok(
  public.has_entitlement_for('ada00000-0000-4000-8000-000000000000', 'badge'),
  'It gives its entitlement all the same.'
);
select public.refund_purchase('own', '5', 'a');
select results_eq(
  $$ select status::text, public.has_entitlement_for(user_id, 'badge') from public.purchase_transactions where transaction_id = '5' $$,
  $$ values ('refunded', false) $$,
  'Refunded, it takes it back.'
);

-- too much
select throws_ok(
  $$ select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'own', '6', 'heavy', quantity => 2) $$,
  '22023', 'invalid_amount',
  'More than 10^12 credits are no purchase.'
);
create temp table before_all_the_money as select total_credits, credits_remaining from public.user_credits;
update public.user_credits set total_credits = 9007199254740000, credits_remaining = 9007199254740000 where used_credits = 0;
select throws_ok(
  $$ select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'own', '7', 'heavy') $$,
  'PT422', 'balance_limit',
  'A balance has its limit for purchases too.'
);
select results_eq(
  $$ select e.state::text, e.reason from pg_temp.revenuecat('8', 'heavy', '{}') as e $$,
  $$ values ('failed', 'balance_limit') $$,
  'An event that would exceed it waits for an operator.'
);
update public.user_credits as a
set total_credits = b.total_credits, credits_remaining = b.credits_remaining
from before_all_the_money as b
where a.used_credits = 0;
select is_empty(
  $$ select from credits_private.purchase_claims where transaction_id in ('6', '7', '8') $$,
  'What was not credited is nobody''s yet.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
