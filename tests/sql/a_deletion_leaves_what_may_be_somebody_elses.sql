-- A purchase that waits because its names belong to two accounts is not lost when one of them goes: it is the other's then, and
-- the body does not name the one who went. Nor is one that waits for somebody who is still to come, and carries an address of
-- theirs that another user had, or only said to have.

begin;
select plan(12);

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

-- paid by Cee with Dee's address, before Cee is here
insert into auth.users (id, email, email_confirmed_at)
values ('dee00000-0000-4000-8000-000000000000', 'fam@example.com', now()), ('eee00000-0000-4000-8000-000000000000', 'victim@example.com', null);
create function pg_temp.pay(id text, fields jsonb)
  returns text
  language sql
as $$
  select concat_ws(' ', e.state, e.reason)
  from public.process_stripe_event(
    jsonb_build_object('id', id, 'type', 'checkout.session.completed', 'livemode', true, 'data', jsonb_build_object('object',
      '{"mode": "payment", "payment_status": "paid", "metadata": {"product_id": "pack"}}'::jsonb
      || jsonb_build_object('id', 'cs_' || id, 'payment_intent', 'pi_' || id) || fields))::json
  ) as e
$$;
select is(pg_temp.pay(id, fields), 'parked unknown_user', format('%s waits.', id))
from (
  values
    ('soon', '{"client_reference_id": "cee00000-0000-4000-8000-000000000000", "customer_details": {"email": "fam@example.com"}}'::jsonb),
    ('guest', '{"customer": "cus_9", "customer_details": {"email": "victim@example.com"}}')
) as events (id, fields);
create temp table due as select event_id, retry_at from credits_private.store_events where event_id in ('soon', 'guest');
select is(
  public.export_user_data_for('eee00000-0000-4000-8000-000000000000') #> '{tables,credits_private.store_events}', '[]',
  'An address that was not confirmed shows nobody''s payments.'
);
select public.delete_user_account_for('dee00000-0000-4000-8000-000000000000');
delete from auth.users where id = 'eee00000-0000-4000-8000-000000000000';
select results_eq(
  $$
    select e.event_id, e.state::text, e.reason, e.body::text like '%@%', e.retry_at = d.retry_at
    from credits_private.store_events as e
    join due as d on d.event_id = e.event_id
    order by 1
  $$,
  $$ values ('guest', 'parked', 'unknown_user', false, true), ('soon', 'parked', 'unknown_user', false, true) $$,
  'Both wait on, without the address.'
);
insert into auth.users (id) values ('cee00000-0000-4000-8000-000000000000');
select is(
  (select credits_remaining from public.user_credits where user_id = 'cee00000-0000-4000-8000-000000000000'), 100::bigint, 'Cee has it.'
);

-- an id in the event, whoever it is not about, keeps nothing open
insert into auth.users (id) values ('fae00000-0000-4000-8000-000000000000');
select is(
  (
    select e.reason
    from public.process_revenuecat_event('{"event": {"id": "abcdef00-0000-4000-8000-000000000000", "type": "NON_RENEWING_PURCHASE",
      "store": "STRIPE", "environment": "PRODUCTION", "transaction_id": "x", "product_id": "pack",
      "app_user_id": "fae00000-0000-4000-8000-000000000000", "aliases": ["$RCAnonymousID:fae"],
      "subscriber_attributes": {"$idfv": {"value": "ABCDEF00-0000-4000-8000-000000000001"}}}}') as e
  ),
  'unmapped_transaction', 'Something waits for Fae.'
);
select public.delete_user_account_for('fae00000-0000-4000-8000-000000000000');
select results_eq(
  $$ select state::text, reason, body is null from credits_private.store_events where event_id like 'abcdef%' $$,
  $$ values ('ignored', 'account_closed', true) $$, 'It waits no more.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
