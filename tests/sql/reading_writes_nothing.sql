-- What is declared STABLE reads and nothing else, so it also answers a GET, which PostgREST runs in a
-- read-only transaction; what writes is declared VOLATILE and says there that it cannot.

begin;
select plan(44);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1, null, '{}', 'export-1');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'app_store', '1', 'pack');
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1);
select public.set_recurring_grant('pros', 1, 'month', entitlement => 'pro');
select public.process_stripe_event('{"id": "evt_1", "type": "charge.captured", "livemode": true, "data": {"object": {}}}', true);
set local session_replication_role = replica;
insert into auth.users (id, email) values ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
set local session_replication_role = origin;

select is(
  (
    select array_agg(p.proname::text order by p.proname)
    from pg_catalog.pg_proc as p
    where p.pronamespace = 'public'::regnamespace
      and p.provolatile = 'v'
  ),
  array[
    'ack_outbox', 'add_credits_for', 'capture_hold_for', 'claim_outbox', 'consume_credit', 'consume_credit_for',
    'delete_user_account', 'delete_user_account_for', 'end_recurring_grant', 'grant_entitlement_for', 'process_revenuecat_event', 'process_stripe_event', 'record_purchase_for', 'refund_consumption_for',
    'refund_purchase', 'release_hold_for', 'reprocess_store_event', 'reserve_credits_for', 'revenuecat_webhook',
    'run_maintenance', 'set_alert_for', 'set_recurring_grant', 'stripe_webhook'
  ],
  'Of the calls these write.'
);
select is(
  (
    select array_agg(p.proname::text order by p.proname)
    from pg_catalog.pg_proc as p
    where p.pronamespace = 'public'::regnamespace
      and p.provolatile <> 'v'
  ),
  array[
    'credits_available', 'explain_balance_for', 'export_user_data_for', 'get_balance_at_for', 'get_operation', 'get_operation_for',
    'get_transaction_history', 'get_transaction_history_for', 'get_usage', 'get_usage_for',
    'get_user_credits', 'get_user_credits_for', 'has_entitlement', 'has_entitlement_for', 'id', 'verify_ledger'
  ],
  'These read.'
);

create temp table calls (place integer, role text, statement text, writes boolean, what text);
insert into calls
values
  (1, 'authenticated', 'select public.get_user_credits()', false, 'get_user_credits'),
  (2, 'authenticated', 'select c.credits_available from public.get_user_credits() as c', false, 'credits_available'),
  (3, 'authenticated', 'select * from public.get_transaction_history()', false, 'get_transaction_history'),
  (4, 'authenticated', 'select t.id from public.get_transaction_history() as t', false, 'id'),
  (5, 'authenticated', $$ select * from public.get_operation('export-1') $$, false, 'get_operation'),
  (6, 'authenticated', $$ select public.get_usage('2000-01-01') $$, false, 'get_usage'),
  (7, 'authenticated', 'select public.consume_credit()', true, 'consume_credit'),
  (8, 'authenticated', $$ select public.consume_credit(1, null, '{}', 'export-1') $$, true, 'a replay'),
  (9, 'authenticated', 'select public.delete_user_account()', true, 'delete_user_account'),
  (10, 'service_role', 'select public.get_user_credits_for(%1$L)', false, 'get_user_credits_for'),
  (11, 'service_role', 'select public.get_user_credits_for(%2$L)', false, 'get_user_credits_for of an unopened account'),
  (12, 'service_role', 'select * from public.get_transaction_history_for(%1$L)', false, 'get_transaction_history_for'),
  (13, 'service_role', $$ select * from public.get_operation_for(%1$L, 'export-1') $$, false, 'get_operation_for'),
  (14, 'service_role', $$ select public.get_usage_for(%1$L, '2000-01-01') $$, false, 'get_usage_for'),
  (15, 'service_role', 'select public.get_balance_at_for(%1$L, now())', false, 'get_balance_at_for'),
  (16, 'service_role', 'select public.explain_balance_for(%2$L)', false, 'explain_balance_for of an unopened account'),
  (17, 'service_role', 'select * from public.verify_ledger()', false, 'verify_ledger'),
  (17, 'service_role', 'select public.export_user_data_for(%1$L)', false, 'export_user_data_for'),
  (18, 'service_role', 'select public.consume_credit_for(%1$L)', true, 'consume_credit_for'),
  (19, 'service_role', 'select public.add_credits_for(%1$L, 1)', true, 'add_credits_for'),
  (20, 'service_role', 'select public.delete_user_account_for(%1$L)', true, 'delete_user_account_for'),
  (21, 'owner', $$ select credits_private.set_setting('signup_bonus', '5') $$, true, 'set_setting'),
  (22, 'authenticated', $$ select public.has_entitlement('pro') $$, false, 'has_entitlement'),
  (23, 'service_role', $$ select public.has_entitlement_for(%1$L, 'pro') $$, false, 'has_entitlement_for'),
  (24, 'service_role', $$ select public.grant_entitlement_for(%1$L, 'pro') $$, true, 'grant_entitlement_for'),
  (25, 'service_role', $$ select public.record_purchase_for(%1$L, 'app_store', '2', 'pack') $$, true, 'record_purchase_for'),
  (26, 'service_role', $$ select public.refund_purchase('app_store', '1', 'a') $$, true, 'refund_purchase'),
  (27, 'service_role', $$ select public.process_revenuecat_event('{}') $$, true, 'process_revenuecat_event'),
  (28, 'service_role', $$ select public.process_stripe_event('{}') $$, true, 'process_stripe_event'),
  (29, 'service_role', $$ select public.reprocess_store_event('stripe', 'evt_1') $$, true, 'reprocess_store_event'),
  (30, 'service_role', 'select public.run_maintenance()', true, 'run_maintenance'),
  (31, 'service_role', 'select public.reserve_credits_for(%1$L, 1)', true, 'reserve_credits_for'),
  (32, 'service_role', 'select public.capture_hold_for(%1$L, (select id from public.credit_holds))', true, 'capture_hold_for'),
  (33, 'service_role', 'select public.release_hold_for(%1$L, (select id from public.credit_holds))', true, 'release_hold_for'),
  (34, 'service_role', 'select public.refund_consumption_for(%1$L, 2)', true, 'refund_consumption_for'),
  (35, 'service_role', $$ select public.set_recurring_grant('daily', 1, 'day', %1$L) $$, true, 'set_recurring_grant'),
  (36, 'service_role', $$ select public.end_recurring_grant('pros') $$, true, 'end_recurring_grant'),
  (37, 'service_role', 'select public.set_alert_for(%1$L, 5)', true, 'set_alert_for'),
  (38, 'service_role', 'select public.claim_outbox()', true, 'claim_outbox'),
  (39, 'service_role', 'select public.ack_outbox(array[%1$L]::uuid[])', true, 'ack_outbox'),
  (40, 'service_role', 'select c.credits_available from public.user_credits as c', false, 'credits_available of everybody');
update calls
set statement = format(statement, 'ada00000-0000-4000-8000-000000000000', 'bea00000-0000-4000-8000-000000000000');
grant select on calls to public;
create temp table before as select * from public.user_credits;

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set transaction read only;

set local role authenticated;
select case
  when writes then throws_ok(statement, '25006', null, format('In a read-only transaction %s cannot write.', what))
  else lives_ok(statement, format('In a read-only transaction %s answers.', what))
end
from calls
where role = 'authenticated'
order by place;

reset role;
set local role service_role;
select case
  when writes then throws_ok(statement, '25006', null, format('In a read-only transaction %s cannot write.', what))
  else lives_ok(statement, format('In a read-only transaction %s answers.', what))
end
from calls
where role = 'service_role'
order by place;

reset role;
select throws_ok(statement, '25006', null, format('In a read-only transaction %s cannot write.', what))
from calls
where role = 'owner';
select results_eq('select * from public.user_credits', 'select * from before', 'No account was opened and none has changed.');

select * from finish();
rollback;
