-- GoTrue's soft deletion keeps the row of auth.users, with another address, and nothing else: the state is that of any other
-- deletion, and the account does not come back, whoever asks. Only a user who is gone may lose a balance.

begin;
select plan(20);

insert into auth.users (id, email)
values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'), ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, 'pro', null, null, null);
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'app_store', '1', 'pack');
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 5);
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, expires_at => now() + interval '1 day');
select public.process_stripe_event('{"id": "guest", "type": "customer.created", "livemode": true, "data": {"object": {"id": "cus_1", "email": "ADA@example.com"}}}');

select throws_ok(
  $$ delete from public.user_credits where user_id = 'ada00000-0000-4000-8000-000000000000' $$, 'PT403', 'ledger_immutable',
  'While Ada is here her balance stays.'
);
update auth.users
set deleted_at = now(), email = 'f0e4c2f76c58916ec258f246851bea09', raw_user_meta_data = '{}'
where id = 'ada00000-0000-4000-8000-000000000000';
select throws_ok(
  $$ delete from public.user_credits where user_id = 'bea00000-0000-4000-8000-000000000000' $$, 'PT403', 'ledger_immutable',
  'Ada''s leaving lets nobody else''s go.'
);
select throws_ok(
  $$ delete from public.credit_transactions where user_id = 'bea00000-0000-4000-8000-000000000000' $$, 'PT403', 'ledger_immutable',
  'Nor a ledger.'
);

select is_empty(
  $$
    select t.key
    from jsonb_each(public.export_user_data_for('ada00000-0000-4000-8000-000000000000') -> 'tables') as t
    where t.value <> '[]' and t.key <> 'auth.users'
  $$,
  'No table has anything of Ada.'
);
select is(
  (select body is null and state = 'ignored' from credits_private.store_events where event_id = 'guest'), true,
  'The event that carried the address from before has no body.'
);
select results_eq(
  'select credits_written_off from credits_private.closed_accounts', 'values (108::bigint)', 'What she had was written off.'
);
select is((select credits_remaining from public.user_credits), 3::bigint, 'Bea has what she had.');

-- nothing brings it back
select throws_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000') $$, 'PT410', 'account_closed', 'No spend.'
);
select throws_ok(
  $$ select public.get_user_credits_for('ada00000-0000-4000-8000-000000000000') $$, 'PT410', 'account_closed', 'No look.'
);
select throws_ok(
  $$ insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'bonus', 1) $$,
  'PT410', 'account_closed', 'No row of a service.'
);
select throws_ok(
  $$ select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'app_store', '2', 'pack') $$, 'PT410', 'account_closed',
  'No purchase.'
);
select is(
  (
    select concat_ws(' ', e.state, e.reason)
    from public.process_revenuecat_event('{"event": {"id": "late", "type": "RENEWAL", "store": "APP_STORE", "environment": "PRODUCTION",
      "product_id": "pack", "transaction_id": "3", "app_user_id": "ada00000-0000-4000-8000-000000000000"}}') as e
  ),
  'ignored account_closed', 'No renewal.'
);
select is(
  (
    select concat_ws(' ', e.state, e.reason)
    from public.process_revenuecat_event('{"event": {"id": "late too", "type": "BILLING_ISSUE",
      "app_user_id": "ada00000-0000-4000-8000-000000000000", "aliases": ["$RCAnonymousID:ada"]}}') as e
  ),
  'ignored account_closed', 'No name that is learned.'
);
select is(
  (
    select concat_ws(' ', e.state, e.reason)
    from public.process_revenuecat_event('{"event": {"id": "hers", "type": "RENEWAL", "store": "APP_STORE", "environment": "PRODUCTION",
      "product_id": "pack", "transaction_id": "4", "app_user_id": "bea00000-0000-4000-8000-000000000000",
      "aliases": ["ada00000-0000-4000-8000-000000000000"]}}') as e
  ),
  'processed', 'What names Bea too is hers, and no question.'
);
update auth.users set is_anonymous = true where id = 'ada00000-0000-4000-8000-000000000000';
update auth.users set is_anonymous = false, email = 'new@example.com' where id = 'ada00000-0000-4000-8000-000000000000';
update auth.users set deleted_at = null where id = 'ada00000-0000-4000-8000-000000000000';
select is(
  (select array_agg(credits_private.open_accounts('00000000-0000-0000-0000-000000000000', null))), array[null::uuid],
  'Nor a push, nor bringing the row back to life.'
);
select throws_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000') $$, 'PT410', 'account_closed',
  'Who was deleted stays so.'
);
select is(
  (select jsonb_object_agg(r.key, r.value) from public.delete_user_account_for('ada00000-0000-4000-8000-000000000000') as d, jsonb_each(d.removed) as r where r.value <> '0'),
  '{"auth.users": 1}', 'Deleted for good, the row goes too.'
);
select is((select count(*) from credits_private.closed_accounts), 1::bigint, 'One account was closed, once.');
insert into auth.users (id, email, deleted_at) values ('cee00000-0000-4000-8000-000000000000', 'cee@example.com', now());
select throws_ok(
  $$ select public.add_credits_for('cee00000-0000-4000-8000-000000000000', 1) $$, 'PT410', 'account_closed',
  'Who had left before there were credits gets none.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
