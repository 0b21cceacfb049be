-- Apple lets nobody sell credits that expire. That is kept where a lot is made, so no call, no product and no owner
-- by hand goes around it.

begin;
select plan(16);

create or replace function credits_private.now()
  returns timestamptz
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  return current_setting('test.now');
end;
$$;

select set_config('test.now', '2026-03-01 00:00:00+00', true);
select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

select throws_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, 'purchase', '2026-04-01', metadata => '{"store": "app_store"}') $$,
  'PT422', 'expiry_not_allowed', 'A purchase from the App Store cannot be added with an expiry.'
);
select throws_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, 'purchase', '2026-04-01', metadata => '{"store": "mac_app_store"}') $$,
  'PT422', 'expiry_not_allowed', 'Nor one from the Mac App Store, which is Apple too.'
);
select throws_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, 'purchase', '2026-04-01', metadata => '{"store": "APP_STORE"}') $$,
  'PT422', 'expiry_not_allowed', 'Nor in the spelling of RevenueCat.'
);
select throws_ok(
  $$ select credits_private.set_product('app_store', 'pack', 10, 0, 0, null, null, null, '1 month', null, null) $$,
  'PT422', 'expiry_not_allowed', 'A product of the App Store cannot have one.'
);
select is((select count(*) from public.credit_transactions), 0::bigint, 'None of these has left anything.');
select lives_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, 'purchase', metadata => '{"store": "app_store"}') $$,
  'Without an expiry such a purchase is added.'
);
select throws_ok(
  $$ insert into credits_private.credit_lots (user_id, seq, granted, remaining, expires_at) values ('ada00000-0000-4000-8000-000000000000', 1, 5, 5, '2026-04-01') $$,
  'PT422', 'expiry_not_allowed', 'The owner cannot make a lot of it by hand.'
);
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, expires_at => '2026-04-01');
select throws_ok(
  'update credits_private.credit_lots set seq = 1', 'PT422', 'expiry_not_allowed', 'Nor move another lot there.'
);
set local session_replication_role = replica;
select throws_ok(
  $$ insert into credits_private.credit_lots (user_id, seq, granted, remaining, expires_at) values ('ada00000-0000-4000-8000-000000000000', 1, 5, 5, '2026-04-01') $$,
  'PT422', 'expiry_not_allowed', 'Nor in a session that plays replica.'
);
set local session_replication_role = origin;

-- a product for any store that expires is credited without expiry where Apple sold it
select credits_private.set_product('any', 'season', 20, 0, 0, null, null, null, '20 days', null, null);
select is(
  (public.record_purchase_for('ada00000-0000-4000-8000-000000000000', store, '1', 'season')).credits_expire_at, expires_at::timestamptz,
  format('Bought through %s it expires %s.', store, coalesce('at ' || expires_at, 'never'))
)
from (values ('app_store', null), ('mac_app_store', null), ('play_store', '2026-03-21 00:00:00+00')) as stores (store, expires_at);
select is(
  (public.process_revenuecat_event(
    '{"event": {
      "id": "event-1", "type": "NON_RENEWING_PURCHASE", "app_user_id": "ada00000-0000-4000-8000-000000000000",
      "store": "APP_STORE", "environment": "PRODUCTION", "transaction_id": "2", "product_id": "season"
    }}'
  )).state, 'processed', 'RevenueCat tells of another one.'
);
select set_config('test.now', '2026-12-01 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 65::bigint, 'After half a year all that Apple sold is there.');
select public.run_maintenance();
select is((select credits_remaining from public.user_credits), 65::bigint, 'Maintenance takes none of it.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
