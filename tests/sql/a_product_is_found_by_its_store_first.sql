-- A product of a store comes before one of any store, and only while it is on sale. A purchase of what is not on sale here is
-- kept and not credited; once the product is there the event is tried again and credits once.

begin;
select plan(17);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);
select credits_private.set_product('play_store', 'pack', 120, 0, 0, null, null, null, null, null, null);
select credits_private.set_product('any', 'ended', 1, 0, 0, null, null, null, null, null, now() - interval '1 second');
select credits_private.set_product('any', 'ahead', 1, 0, 0, null, null, null, null, now() + interval '1 day', null);
select credits_private.set_product('any', 'today', 1, 0, 0, null, null, null, null, now() - interval '1 day', now() + interval '1 day');
select credits_private.set_product('play_store', 'season', 2, 0, 0, null, null, null, null, null, now() - interval '1 second');
select credits_private.set_product('any', 'season', 1, 0, 0, null, null, null, null, null, null);

create function pg_temp.bought(store text, product_id text)
  returns bigint
  language sql
as $$
  select p.credits from public.record_purchase_for('ada00000-0000-4000-8000-000000000000', store, store || product_id, product_id) as p
$$;
select is(pg_temp.bought('play_store', 'pack'), 120::bigint, 'The row of the store counts in that store.');
select is(pg_temp.bought('app_store', 'pack'), 100::bigint, 'The row of any store counts in the others.');
select is(pg_temp.bought('own', 'today'), 1::bigint, 'What is on sale today is sold.');
select is(pg_temp.bought('play_store', 'season'), 1::bigint, 'Where the store''s own row has ended, that of any store counts.');
select throws_ok($$ select pg_temp.bought('own', 'ended') $$, 'PT422', 'unknown_product', 'What has ended is not sold.');
select throws_ok($$ select pg_temp.bought('own', 'ahead') $$, 'PT422', 'unknown_product', 'What has not begun is not sold.');
select throws_ok($$ select pg_temp.bought('own', 'nothing') $$, 'PT422', 'unknown_product', 'What nobody knows is not sold.');
select throws_ok($$ select pg_temp.bought('own', 'PACK') $$, 'PT422', 'unknown_product', 'Names are compared to the letter.');

-- an event of what is not known yet
create temp view balance as select credits_remaining from public.user_credits;
create temp table before as select * from balance;
create function pg_temp.send()
  returns setof public.store_event
  language sql
as $$
  select *
  from public.process_revenuecat_event(
    '{"event": {"id": "new-1", "type": "NON_RENEWING_PURCHASE", "app_user_id": "ada00000-0000-4000-8000-000000000000",
      "store": "APP_STORE", "environment": "PRODUCTION", "transaction_id": "new", "product_id": "new_pack"}}'
  )
$$;
select results_eq(
  'select state::text, reason, details, attempts, transaction_id from pg_temp.send()',
  $$ values ('failed', 'unknown_product', '{"store": "app_store", "product_id": "new_pack"}'::jsonb, 1, 'new') $$,
  'An unknown product is kept and named.'
);
select results_eq('select * from balance', 'select * from before', 'It credits nothing, and no default.');
select credits_private.set_product('any', 'new_pack', 40, 0, 0, null, null, null, null, null, null);
select results_eq(
  $$ select state::text, reason, details, attempts from public.reprocess_store_event('revenuecat', 'new-1') $$,
  $$ values ('processed', null::text, '{}'::jsonb, 2) $$,
  'Tried again with the product it is done.'
);
select is((select * from balance), (select credits_remaining + 40 from before), 'It is credited.');
select public.reprocess_store_event('revenuecat', 'new-1');
select results_eq(
  'select state::text, reason from pg_temp.send()', $$ values ('processed', null::text) $$,
  'Sent and tried again it stays done.'
);
select is((select * from balance), (select credits_remaining + 40 from before), 'It is credited once.');
select throws_ok(
  $$ select public.reprocess_store_event('revenuecat', 'new-2') $$, 'PT404', 'event_not_found',
  'An event that never came cannot be tried.'
);
select throws_ok(
  $$ select public.reprocess_store_event('stripe', 'new-1') $$, 'PT404', 'event_not_found',
  'It is one of its provider only.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
