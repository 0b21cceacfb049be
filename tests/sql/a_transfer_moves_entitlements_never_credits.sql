-- A TRANSFER moves to another user what somebody may use, and what waits for its owner. Credits and their refunds stay with who
-- claimed them, there and back, or buying, transferring and restoring would multiply them.

begin;
select plan(24);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id)
values
  ('ada00000-0000-4000-8000-000000000000'), ('bea00000-0000-4000-8000-000000000000'), ('cee00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'life', 100, 0, 0, null, null, 'pro', null, null, null);

create function pg_temp.revenuecat(id text, fields jsonb)
  returns text
  language sql
as $$
  select concat_ws(' ', e.state, e.reason)
  from public.process_revenuecat_event(
    jsonb_build_object(
      'event', '{"store": "APP_STORE", "environment": "PRODUCTION", "product_id": "life", "type": "NON_RENEWING_PURCHASE"}'::jsonb
      || jsonb_build_object('id', id, 'transaction_id', id) || fields
    )::json
  ) as e
$$;
create function pg_temp.transfer(id text, was text[], is_now text[], store text default 'APP_STORE')
  returns text
  language sql
as $$
  select concat_ws(' ', e.state, e.reason)
  from public.process_revenuecat_event(
    json_build_object(
      'event', json_build_object(
        'id', id, 'type', 'TRANSFER', 'store', store, 'environment', 'PRODUCTION',
        'transferred_from', array(select regexp_replace(n, '^...$', '\&00000-0000-4000-8000-000000000000') from unnest(was) as n),
        'transferred_to', array(select regexp_replace(n, '^...$', '\&00000-0000-4000-8000-000000000000') from unnest(is_now) as n)
      )
    )
  ) as e
$$;
create temp view state as
select left(a.user_id::text, 3) as who, a.credits_remaining as credits, public.has_entitlement_for(a.user_id, 'pro') as pro
from public.user_credits as a
order by 1;

select pg_temp.revenuecat('1', '{"app_user_id": "ada00000-0000-4000-8000-000000000000", "aliases": ["$RCAnonymousID:ada"]}');
select results_eq(
  'select * from state', $$ values ('ada', 100::bigint, true), ('bea', 0, false), ('cee', 0, false) $$, 'Ada bought it.'
);
select is(pg_temp.transfer('t0', '{ada}', '{bea}', 'PLAY_STORE'), 'processed', 'Another store''s transfer is taken.');
select results_eq(
  'select * from state', $$ values ('ada', 100::bigint, true), ('bea', 0, false), ('cee', 0, false) $$,
  'It moves nothing that was bought elsewhere.'
);
select is(pg_temp.transfer('t1', '{ada}', '{bea}'), 'processed', 'Ada''s purchases go to Bea.');
select results_eq(
  'select * from state', $$ values ('ada', 100::bigint, false), ('bea', 0, true), ('cee', 0, false) $$,
  'The entitlement moves and the credits stay.'
);
select pg_temp.transfer('t1', '{ada}', '{bea}');
select results_eq(
  'select * from state', $$ values ('ada', 100::bigint, false), ('bea', 0, true), ('cee', 0, false) $$,
  'Told again it changes nothing.'
);
select is(
  pg_temp.revenuecat('1b', '{"app_user_id": "bea00000-0000-4000-8000-000000000000", "transaction_id": "1"}'),
  'failed purchase_conflict', 'Restored by Bea the purchase is not hers to credit.'
);
select results_eq(
  'select * from state', $$ values ('ada', 100::bigint, false), ('bea', 0, true), ('cee', 0, false) $$,
  'Nothing was multiplied.'
);
select is(pg_temp.transfer('t2', '{bea}', '{ada}'), 'processed', 'It comes back.');
select results_eq(
  'select * from state', $$ values ('ada', 100::bigint, true), ('bea', 0, false), ('cee', 0, false) $$,
  'Ada has it again, and no credits more.'
);
select pg_temp.transfer('t3', '{ada}', '{bea}');
select pg_temp.transfer('t4', '{bea}', '{cee}');
select results_eq(
  'select * from state', $$ values ('ada', 100::bigint, false), ('bea', 0, false), ('cee', 0, true) $$,
  'It goes on to Cee.'
);

-- events of the transaction come under its new owner's names
select is(
  pg_temp.revenuecat('p1', '{"type": "SUBSCRIPTION_EXTENDED", "transaction_id": "1", "expiration_at_ms": 4102444800000,
    "app_user_id": "cee00000-0000-4000-8000-000000000000", "aliases": ["$RCAnonymousID:cee"]}'),
  'processed', 'An event of the purchase names who has it now.'
);
select is(
  pg_temp.revenuecat('2', '{"app_user_id": "cee00000-0000-4000-8000-000000000000", "aliases": ["$RCAnonymousID:cee"]}'),
  'processed', 'Cee''s own next purchase is Cee''s.'
);
select results_eq(
  'select * from state', $$ values ('ada', 100::bigint, false), ('bea', 0, false), ('cee', 100, true) $$,
  'It credits Cee.'
);
select pg_temp.revenuecat('r2', '{"type": "CANCELLATION", "cancel_reason": "CUSTOMER_SUPPORT", "transaction_id": "2",
  "app_user_id": "cee00000-0000-4000-8000-000000000000"}');
select is(
  pg_temp.revenuecat('r1', '{"type": "CANCELLATION", "cancel_reason": "CUSTOMER_SUPPORT", "transaction_id": "1",
    "app_user_id": "cee00000-0000-4000-8000-000000000000"}'),
  'processed', 'The store takes back the money of the first purchase.'
);
select is((select credits from state where who = 'ada'), 0::bigint, 'The credits are taken where they were given.');
select is((select pro from state where who = 'cee'), false, 'The entitlement ends where it is.');

-- what waits
select is(pg_temp.revenuecat('3', '{"app_user_id": "$RCAnonymousID:x"}'), 'parked unknown_user', 'A purchase waits for its owner.');
select is(pg_temp.transfer('t5', '{$RCAnonymousID:x}', '{bea}'), 'processed', 'It is transferred to Bea.');
select is((select credits from state where who = 'bea'), 100::bigint, 'It is credited to Bea, since nobody had it before.');
select is(pg_temp.transfer('t6', '{$RCAnonymousID:y}', '{$RCAnonymousID:z}'), 'parked unknown_user', 'A transfer between strangers waits.');
select is(
  pg_temp.transfer('t7', '{ada}', '{bea,cee}'), 'parked ambiguous_user', 'A transfer to two accounts is a question.'
);
select is((select sum(credits) from state), 100::numeric, 'In the end there are the credits that were paid.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
