-- A purchase by somebody who has no account here is parked, not lost: the sign-up credits it, or the event that tells whose
-- other name it was. Both at once, told again or tried again, credit it once.

begin;
select plan(19);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('bea00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);

create function pg_temp.revenuecat(id text, type text, fields jsonb)
  returns public.store_event
  language sql
as $$
  select public.process_revenuecat_event(
    jsonb_build_object(
      'event', '{"store": "APP_STORE", "environment": "PRODUCTION", "product_id": "pack"}'::jsonb
      || jsonb_build_object('id', id, 'type', type, 'transaction_id', id) || fields
    )::json
  )
$$;
create function pg_temp.balance_of(id uuid)
  returns bigint
  language sql
as $$
  select a.credits_remaining from public.user_credits as a where a.user_id = id
$$;

-- before the sign-up
select results_eq(
  $$
    select e.state::text, e.reason, e.user_id
    from pg_temp.revenuecat('1', 'INITIAL_PURCHASE', '{"app_user_id": "ADA00000-0000-4000-8000-000000000000"}') as e
  $$,
  $$ values ('parked', 'unknown_user', null::uuid) $$,
  'A purchase of somebody unknown is parked.'
);
select results_eq(
  $$
    select e.state::text, e.reason, e.attempts
    from pg_temp.revenuecat('1', 'INITIAL_PURCHASE', '{"app_user_id": "ADA00000-0000-4000-8000-000000000000"}') as e
  $$,
  $$ values ('parked', 'unknown_user', 2) $$,
  'Sent again it stays parked.'
);
select pg_temp.revenuecat('2', 'RENEWAL', '{"app_user_id": "$RCAnonymousID:x", "aliases": ["ada00000-0000-4000-8000-000000000000"]}');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select is(
  pg_temp.balance_of('ada00000-0000-4000-8000-000000000000'), 200::bigint,
  'The sign-up credits both, written in capitals or told by an alias.'
);
select results_eq(
  'select event_id, state::text, reason, user_id from credits_private.store_events order by event_id',
  $$
    values
      ('1', 'processed', null::text, 'ada00000-0000-4000-8000-000000000000'::uuid),
      ('2', 'processed', null, 'ada00000-0000-4000-8000-000000000000')
  $$,
  'The events are done.'
);
select is_empty($$ select from credits_private.store_events where state = 'parked' or retry_at is not null $$, 'Nobody is waited for.');
select pg_temp.revenuecat('1', 'INITIAL_PURCHASE', '{"app_user_id": "ADA00000-0000-4000-8000-000000000000"}');
select public.reprocess_store_event('revenuecat', '2');
select public.run_maintenance();
select is(
  pg_temp.balance_of('ada00000-0000-4000-8000-000000000000'), 200::bigint, 'Told and tried again they credit nothing more.'
);

-- a name that somebody turns out to have
select is(
  (pg_temp.revenuecat('3', 'NON_RENEWING_PURCHASE', '{"app_user_id": "$RCAnonymousID:bea"}')).reason, 'unknown_user',
  'A name that nobody has is parked.'
);
select is(
  (pg_temp.revenuecat('4', 'SUBSCRIBER_ALIAS', '{"app_user_id": "bea00000-0000-4000-8000-000000000000", "aliases": ["$RCAnonymousID:bea"]}')).state,
  'ignored',
  'An event says whose it is, and changes nothing else.'
);
select is(
  pg_temp.balance_of('bea00000-0000-4000-8000-000000000000'), 100::bigint, 'The purchase is credited then.'
);
select is(
  (pg_temp.revenuecat('5', 'NON_RENEWING_PURCHASE', '{"app_user_id": "$RCAnonymousID:bea"}')).state, 'processed',
  'The next one under that name is credited at once.'
);
select is(
  (pg_temp.revenuecat('6', 'BILLING_ISSUE', '{"app_user_id": "bea00000-0000-4000-8000-000000000000", "original_app_user_id": "$RCAnonymousID:bea2"}')).state,
  'ignored',
  'An event of another kind teaches names too.'
);
select is(
  (pg_temp.revenuecat('7', 'NON_RENEWING_PURCHASE', '{"app_user_id": "$RCAnonymousID:bea2"}')).state, 'processed',
  'That one is known from there on.'
);

-- names that stand for nobody
select is(
  (pg_temp.revenuecat(concat('8-', name), 'NON_RENEWING_PURCHASE', jsonb_build_object('app_user_id', name))).reason, 'unknown_user',
  format('%s is nobody.', coalesce(quote_ident(name), 'null'))
)
from unnest(array['guest', 'NULL', null]) as names (name);
select pg_temp.revenuecat('9', 'BILLING_ISSUE', '{"app_user_id": "bea00000-0000-4000-8000-000000000000", "aliases": ["guest", "0", "unknown"]}');
select is(
  (pg_temp.revenuecat('8-guest', 'NON_RENEWING_PURCHASE', '{"app_user_id": "guest"}')).reason, 'unknown_user',
  'Nobody''s name is not learned, even beside somebody''s.'
);
select is(
  pg_temp.balance_of('bea00000-0000-4000-8000-000000000000'), 300::bigint, 'Bea has what Bea bought.'
);

-- nobody waits for ever in vain: maintenance looks again
select pg_temp.revenuecat('10', 'NON_RENEWING_PURCHASE', '{"app_user_id": "cee00000-0000-4000-8000-000000000000"}');
set local session_replication_role = replica;
insert into auth.users (id) values ('cee00000-0000-4000-8000-000000000000');
set local session_replication_role = origin;
update credits_private.store_events set retry_at = credits_private.now() where event_id = '10';
select results_eq(
  'select store_events from public.run_maintenance()', 'values (1)',
  'A user whom no trigger saw is found by maintenance.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
