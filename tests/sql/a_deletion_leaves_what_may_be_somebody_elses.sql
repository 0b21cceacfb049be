-- A purchase that waits because its names belong to two accounts is not lost when one of them goes: it is the other's then, and
-- the body does not name the one who went.

begin;
select plan(5);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id)
values ('ada00000-0000-4000-8000-000000000000'), ('bea00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);

select is(
  (
    select e.reason
    from public.process_revenuecat_event('{"event": {"id": "1", "type": "NON_RENEWING_PURCHASE", "store": "APP_STORE",
      "environment": "PRODUCTION", "transaction_id": "1", "product_id": "pack",
      "app_user_id": "ada00000-0000-4000-8000-000000000000", "aliases": ["BEA00000-0000-4000-8000-000000000000"]}}') as e
  ),
  'ambiguous_user', 'Whose it is is a question.'
);
select public.delete_user_account_for('bea00000-0000-4000-8000-000000000000');
select is(
  (select count(*) from credits_private.store_events as e where e.body::text ilike '%bea00000%'), 0::bigint,
  'The body does not name the one who went.'
);
select is_empty(
  $$ select from credits_private.store_event_names where name like 'bea%' $$, 'Nor does the list of names.'
);
select public.run_maintenance();
select is((select credits_remaining from public.user_credits), 100::bigint, 'The other one has it.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
