-- Whoever leaves is named nowhere any more, by id or by any name that a store had for them, whatever became of their events. What
-- stays are closed claims: the same transaction credits nobody again, and what is told of it later is kept without its body.

begin;
select plan(27);

insert into auth.users (id)
values ('ada00000-0000-4000-8000-000000000000'), ('bea00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, 100, 'EUR', 'pro', null, null, null);
select credits_private.set_setting('sandbox_users', 'bea00000-0000-4000-8000-000000000000,ada00000-0000-4000-8000-000000000000');

create function pg_temp.revenuecat(id text, fields jsonb, is_deferred boolean default false)
  returns text
  language sql
as $$
  select concat_ws(' ', e.state, e.reason)
  from public.process_revenuecat_event(
    jsonb_build_object(
      'event', '{"type": "NON_RENEWING_PURCHASE", "store": "APP_STORE", "environment": "PRODUCTION", "product_id": "pack",
        "app_user_id": "ada00000-0000-4000-8000-000000000000", "aliases": ["$RCAnonymousID:ada1"]}'::jsonb
      || jsonb_build_object('id', id, 'transaction_id', id) || fields
    )::json, is_deferred
  ) as e
$$;
create function pg_temp.stripe(id text, type text, object jsonb)
  returns text
  language sql
as $$
  select concat_ws(' ', e.state, e.reason)
  from public.process_stripe_event(
    jsonb_build_object('id', id, 'type', type, 'livemode', true, 'data', jsonb_build_object('object', object))::json
  ) as e
$$;
-- the columns in which a word stands anywhere
create function pg_temp.columns_that_mention(word text)
  returns setof text
  language plpgsql
as $$
declare
  v_column record;
  v_found boolean;
begin
  for v_column in
    select c.table_schema, c.table_name, c.column_name
    from information_schema.columns as c
    join information_schema.tables as t using (table_schema, table_name)
    where c.table_schema in ('public', 'auth', 'credits_private')
      and t.table_type = 'BASE TABLE'
  loop
    execute format(
      'select exists (select from %I.%I as t where t.%I::text ilike %L)',
      v_column.table_schema, v_column.table_name, v_column.column_name, '%' || word || '%'
    )
    into v_found;
    if v_found then
      return next format('%s.%s.%s', v_column.table_schema, v_column.table_name, v_column.column_name);
    end if;
  end loop;
end;
$$;

create temp table happened (place serial, what text, became text);
insert into happened (what, became)
values
  ('processed', pg_temp.revenuecat('1', '{}')),
  ('processed', pg_temp.stripe('s1', 'checkout.session.completed', '{"id": "cs_1", "mode": "payment", "payment_status": "paid",
    "payment_intent": "pi_1", "customer": "cus_ada1", "client_reference_id": "ada00000-0000-4000-8000-000000000000",
    "metadata": {"product_id": "pack"}}')),
  ('failed unknown_product', pg_temp.revenuecat('2', '{"product_id": "nothing"}')),
  ('failed price_mismatch', pg_temp.revenuecat('3', '{"price_in_purchased_currency": 0.5, "currency": "EUR"}')),
  ('failed wrong_shape', pg_temp.revenuecat('4', '{"environment": null}')),
  ('ignored sandbox_denied', pg_temp.revenuecat('5', '{"environment": "SANDBOX"}')),
  ('ignored changes_nothing', pg_temp.revenuecat('6', '{"type": "UNCANCELLATION"}')),
  ('ignored unknown_type', pg_temp.revenuecat('7', '{"type": "NEXT_YEAR"}')),
  ('processed before_purchase', pg_temp.revenuecat('8', '{"type": "REFUND_REVERSED"}')),
  ('parked ambiguous_user', pg_temp.revenuecat('9', '{"original_app_user_id": "bea00000-0000-4000-8000-000000000000"}')),
  ('parked unmapped_transaction', pg_temp.revenuecat('10', '{"store": "STRIPE"}')),
  ('pending', pg_temp.revenuecat('11', '{}', true)),
  ('processed', pg_temp.revenuecat('12', '{"type": "TRANSFER", "transferred_from": ["ada00000-0000-4000-8000-000000000000"],
    "transferred_to": ["bea00000-0000-4000-8000-000000000000"]}')),
  ('processed', pg_temp.revenuecat('13', '{"app_user_id": "bea00000-0000-4000-8000-000000000000", "aliases": []}')),
  ('failed purchase_conflict', pg_temp.revenuecat('14', '{"transaction_id": "13"}'));
select results_eq(
  'select became from happened order by place', 'select what from happened order by place', 'Much has happened to Ada.'
);
select public.refund_purchase('app_store', '1', 'refund-1', 30);
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'own', 'x', 'pack', payload => '{"who": "ada00000"}');

select is(
  (
    select array[removed -> 'public.credit_transactions', removed -> 'public.purchase_transactions', removed -> 'public.user_entitlements']
    from public.delete_user_account_for('ada00000-0000-4000-8000-000000000000')
  ),
  '{5,3,1}'::jsonb[],
  'The receipt counts purchases and entitlements.'
);
select is_empty($$ select * from pg_temp.columns_that_mention('ada00000') $$, 'No column of any table has the id.');
select is_empty($$ select * from pg_temp.columns_that_mention('RCAnonymousID:ada') $$, 'Nor a name that RevenueCat had.');
select is_empty($$ select * from pg_temp.columns_that_mention('cus_ada') $$, 'Nor one that Stripe had.');
select results_eq(
  $$ select store, transaction_id, user_id from credits_private.purchase_claims where closed_account_id is not null order by 1, 2 $$,
  $$ values ('app_store', '1', null::uuid), ('own', 'x', null), ('stripe', 'pi_1', null) $$,
  'What Ada bought stays claimed by nobody.'
);
select results_eq(
  $$ select event_id, state::text from credits_private.store_events where event_id in ('1', '2', '11') order by event_id $$,
  $$ values ('1', 'processed'), ('11', 'ignored'), ('2', 'failed') $$,
  'Events keep what became of them; what was waiting waits no more.'
);
select ok(
  (select body is null and body_sha256 ~ '^[0-9a-f]{64}$' from credits_private.store_events where event_id = '1'),
  'In place of its body an event has a hash.'
);
select is(
  (select value from credits_private.settings where name = 'sandbox_users'), 'bea00000-0000-4000-8000-000000000000',
  'Ada is off the list of those who may test.'
);
select is(
  (select count(*) from credits_private.store_events where body is not null and user_id = 'bea00000-0000-4000-8000-000000000000'),
  2::bigint, 'What is Bea''s keeps its body, a transfer from Ada too.'
);

-- later
select is(pg_temp.revenuecat('20', '{"transaction_id": "1"}'), 'ignored account_closed', 'Told again by another event, the purchase is closed.');
select is(
  pg_temp.revenuecat('21', '{"transaction_id": "1", "app_user_id": "bea00000-0000-4000-8000-000000000000", "aliases": []}'),
  'ignored account_closed', 'Restored by Bea it is closed too.'
);
select is(
  pg_temp.revenuecat('22', '{"transaction_id": "1", "type": "CANCELLATION", "cancel_reason": "CUSTOMER_SUPPORT"}'),
  'ignored account_closed', 'A refund of it has nobody to take from.'
);
select is(
  pg_temp.stripe('s2', 'charge.dispute.created', '{"id": "dp_1", "payment_intent": "pi_1", "status": "needs_response", "metadata": {"user_id": "ada00000-0000-4000-8000-000000000000"}}'),
  'ignored account_closed', 'So has a dispute.'
);
select is(
  pg_temp.stripe('s3', 'checkout.session.async_payment_succeeded', '{"id": "cs_1", "mode": "payment", "payment_status": "paid",
    "client_reference_id": "ada00000-0000-4000-8000-000000000000", "customer": "cus_ada1", "metadata": {"product_id": "pack"}}'),
  'ignored account_closed', 'So it is under another name of the payment.'
);
select throws_ok(
  $$ select public.record_purchase_for('bea00000-0000-4000-8000-000000000000', 'app_store', '1', 'pack') $$, 'PT410', 'account_closed',
  'A service cannot record it for somebody else.'
);
select throws_ok(
  $$ select public.refund_purchase('app_store', '1', 'refund-2') $$, 'PT410', 'account_closed', 'Nor refund it.'
);
select is_empty(
  $$ select event_id from credits_private.store_events where reason = 'account_closed' and body is not null $$,
  'None of these events has its body.'
);
select is_empty($$ select * from pg_temp.columns_that_mention('ada00000') $$, 'Ada is named nowhere still.');
select is_empty($$ select * from pg_temp.columns_that_mention('cus_ada') $$, 'Nor is the customer.');
select is(
  (select credits_remaining from public.user_credits), 103::bigint, 'Bea has what Bea bought.'
);
select public.run_maintenance();
select is_empty($$ select * from pg_temp.columns_that_mention('ada00000') $$, 'Maintenance brings nothing back.');

-- the same person again, under another id
insert into auth.users (id) values ('ada10000-0000-4000-8000-000000000000');
select is(
  (select credits_remaining from public.user_credits where user_id = 'ada10000-0000-4000-8000-000000000000'), 3::bigint,
  'Somebody new has none of the old credits.'
);
select is(
  pg_temp.revenuecat('23', '{"transaction_id": "1", "app_user_id": "ada10000-0000-4000-8000-000000000000"}'),
  'ignored account_closed', 'Nor can they restore them.'
);
select is(
  pg_temp.revenuecat('24', '{"app_user_id": "ada10000-0000-4000-8000-000000000000"}'), 'processed',
  'What they buy is theirs, with the name that the store knows them by.'
);
select is(
  (public.reprocess_store_event('revenuecat', '1')).user_id, null, 'Trying the old event again gives them nothing.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
