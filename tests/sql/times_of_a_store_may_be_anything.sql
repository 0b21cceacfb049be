-- What a store says about time is a date to show, no more: past, far ahead, negative or beyond what Postgres can hold, it credits
-- as any other and never raises. What orders things is our own clock.

begin;
select plan(9);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 1, 0, 0, null, null, 'pro', null, null, null);
create function pg_temp.attempt(id text, ms text)
  returns text
  language sql
as $$
  select concat_ws(' ', e.state, e.reason)
  from public.process_revenuecat_event(
    format(
      '{"event": {"id": %1$s, "transaction_id": %1$s, "type": "INITIAL_PURCHASE", "app_user_id": "ada00000-0000-4000-8000-000000000000",
        "store": "APP_STORE", "environment": "PRODUCTION", "product_id": "pack", "event_timestamp_ms": %2$s,
        "purchased_at_ms": %2$s, "expiration_at_ms": %2$s}}', to_json(id), ms
    )::json
  ) as e
$$;
create temp table attempts (id text, ms text, until timestamptz);
insert into attempts
values
  ('1', '0', '1970-01-01 00:00:00+00'),
  ('2', '-62135596800000', '1970-01-01 00:00:00+00'),
  ('3', '-1e300', '1970-01-01 00:00:00+00'),
  ('4', '78789789789798', to_timestamp(78789789789.798)),
  ('5', '253402300799000', '9999-12-31 23:59:59+00'),
  ('6', '1e300', '9999-12-31 23:59:59+00');
select is(pg_temp.attempt(id, ms), 'processed', format('%s milliseconds are a time as any other.', ms)) from attempts order by id;
select results_eq(
  $$ select transaction_id, entitled_until from public.purchase_transactions order by 1 $$,
  'select id, until from attempts order by 1',
  'What is before 1970 or after 9999 is taken for the nearest that is not.'
);
select ok(
  (select bool_and(abs(extract(epoch from clock_timestamp() - created_at)) < 60) from public.purchase_transactions),
  'A purchase is dated by the clock of the database.'
);
select is((select credits_remaining from public.user_credits), 6::bigint, 'Each of them credits.');

select * from finish();
rollback;
