-- An entitlement lasts until the end of the longest period that was paid and not refunded. Stores extend it, or end it early, in
-- any order of their events; a grant by hand counts beside it, and an instant that has passed ends that grant.

begin;
select plan(25);

create or replace function credits_private.now()
  returns timestamptz
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  return coalesce(nullif(current_setting('test.now', true), ''), '2030-01-15 00:00:00+00')::timestamptz;
end;
$$;
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'month', 10, 0, 0, null, null, 'pro', null, null, null);
select credits_private.set_product('any', 'badge', 0, 0, 0, null, null, 'badge', null, null, null);

create temp table said (name text, fields jsonb);
insert into said
values
  ('bought', '{"type": "INITIAL_PURCHASE", "expiration_at_ms": 1896134400000}'),
  ('renewed', '{"type": "RENEWAL", "transaction_id": "2", "expiration_at_ms": 1898812800000}'),
  ('lifetime', '{"type": "NON_RENEWING_PURCHASE", "transaction_id": "3", "expiration_at_ms": null}'),
  ('named', '{"type": "INITIAL_PURCHASE", "expiration_at_ms": 1896134400000, "entitlement_ids": ["gold", "silver"]}'),
  ('extended', '{"type": "SUBSCRIPTION_EXTENDED", "expiration_at_ms": 1896739200000}'),
  ('grace', '{"type": "BILLING_ISSUE", "expiration_at_ms": 1896134400000, "grace_period_expiration_at_ms": 1896739200000}'),
  ('trouble', '{"type": "BILLING_ISSUE", "expiration_at_ms": 1896134400000, "grace_period_expiration_at_ms": null}'),
  ('ended', '{"type": "EXPIRATION", "expiration_at_ms": 1894752000000}'),
  ('unsubscribed', '{"type": "CANCELLATION", "cancel_reason": "UNSUBSCRIBE", "expiration_at_ms": 1896134400000}'),
  ('refunded', '{"type": "CANCELLATION", "cancel_reason": "CUSTOMER_SUPPORT"}'),
  ('renewal_refunded', '{"type": "CANCELLATION", "cancel_reason": "CUSTOMER_SUPPORT", "transaction_id": "2"}');
create function pg_temp.send(names text[])
  returns void
  language plpgsql
as $$
declare
  v_name text;
begin
  foreach v_name in array names loop
    perform public.process_revenuecat_event(
      jsonb_build_object(
        'event', '{"app_user_id": "ada00000-0000-4000-8000-000000000000", "store": "APP_STORE", "environment": "PRODUCTION",
          "transaction_id": "1", "product_id": "month"}'::jsonb || jsonb_build_object('id', v_name) || s.fields
      )::json
    )
    from said as s
    where s.name = v_name;
  end loop;
end;
$$;
create function pg_temp.after(names text[])
  returns text
  language plpgsql
as $$
begin
  perform pg_temp.send(names || names);
  raise exception using
    errcode = 'UC000',
    message = (
      select coalesce(
        string_agg(
          format(
            '%s until %s by %s%s', e.entitlement, coalesce((e.active_until at time zone 'UTC')::date::text, 'for ever'), e.source,
            case when not public.has_entitlement_for(e.user_id, e.entitlement) then ', over' end
          ), '; ' order by e.entitlement
        ),
        'nothing'
      )
      from public.user_entitlements as e
    );
exception
  when sqlstate 'UC000' then
    return sqlerrm;
end;
$$;

create function pg_temp.orders(names text[])
  returns setof text[]
  language sql
as $$
  with recursive orders (done) as (
    select array[]::text[]
    union all
    select o.done || n.name
    from orders as o
    join unnest(names) as n (name) on n.name <> all (o.done)
  )
  select o.done from orders as o where cardinality(o.done) = cardinality(names)
$$;

select results_eq(
  format($$ select distinct pg_temp.after(o) from pg_temp.orders(%L) as o $$, names), format('values (%L)', becomes), what
)
from (
  values
    (1, '{bought}', 'pro until 2030-02-01 by app_store', 'It lasts until the end of its period.'),
    (2, '{bought,renewed}', 'pro until 2030-03-04 by app_store', 'A renewal lasts longer, told first or last.'),
    (3, '{bought,renewed,lifetime}', 'pro until for ever by app_store', 'What was bought for ever lasts for ever.'),
    (4, '{named}', 'gold until 2030-02-01 by app_store; pro until 2030-02-01 by app_store; silver until 2030-02-01 by app_store', 'What the store names comes beside what the product has.'),
    (5, '{bought,extended}', 'pro until 2030-02-08 by app_store', 'The store extends it.'),
    (6, '{bought,grace}', 'pro until 2030-02-08 by app_store', 'A period of grace is more time.'),
    (7, '{bought,trouble}', 'pro until 2030-02-01 by app_store', 'Trouble with a card changes nothing by itself.'),
    (8, '{bought,unsubscribed}', 'pro until 2030-02-01 by app_store', 'Whoever unsubscribes keeps what was paid.'),
    (9, '{bought,ended}', 'pro until 2030-01-16 by app_store', 'The store ends it early.'),
    (10, '{bought,extended,ended}', 'pro until 2030-01-16 by app_store', 'An end is an end, extended before or not.'),
    (11, '{bought,ended,renewed}', 'pro until 2030-03-04 by app_store', 'The end of one period is not that of the next.'),
    (12, '{bought,refunded}', 'nothing', 'A refund ends it.'),
    (13, '{bought,renewed,renewal_refunded}', 'pro until 2030-02-01 by app_store', 'A refund of the renewal leaves the period before.'),
    (14, '{extended}', 'nothing', 'Time without a purchase is nothing.')
) as c (place, names, becomes, what)
order by place;

-- the clock
select pg_temp.send('{bought}');
select set_config('test.now', '2030-01-31 23:59:59.999999+00', true);
select ok(public.has_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro'), 'The last moment counts.');
select set_config('test.now', '2030-02-01 00:00:00+00', true);
select ok(not public.has_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro'), 'The end itself does not.');
select ok(not public.has_entitlement_for('ada00000-0000-4000-8000-000000000000', 'PRO'), 'Another word is another entitlement.');

-- by hand
select results_eq(
  $$ select active_until, source from public.grant_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro', '2030-01-20 00:00:00+00') $$,
  $$ values ('2030-02-01 00:00:00+00'::timestamptz, 'app_store') $$,
  'A shorter grant takes nothing from what was paid.'
);
select results_eq(
  $$ select active_until, source from public.grant_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro', '2030-05-01 00:00:00+00') $$,
  $$ values ('2030-05-01 00:00:00+00'::timestamptz, 'manual') $$,
  'A longer one counts.'
);
select pg_temp.send('{renewed}');
select is((select active_until from public.user_entitlements), '2030-05-01 00:00:00+00'::timestamptz, 'A renewal within it changes nothing.');
select results_eq(
  $$ select active_until, source from public.grant_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro', '2030-01-01 00:00:00+00') $$,
  $$ values ('2030-03-04 00:00:00+00'::timestamptz, 'app_store') $$,
  'An instant that has passed ends the grant, and what was paid stays.'
);
select results_eq(
  $$ select active_until, source from public.grant_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro') $$,
  $$ values (null::timestamptz, 'manual') $$,
  'A grant without an end is for ever.'
);
select pg_temp.send('{refunded,renewal_refunded}');
select ok(public.has_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro'), 'A refund ends no grant by hand.');
select public.grant_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro', '2020-01-01 00:00:00+00');
select ok(
  not public.has_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro'), 'Ended by hand with nothing paid, it is over.'
);
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'own', '9', 'badge');
select ok(public.has_entitlement_for('ada00000-0000-4000-8000-000000000000', 'badge'), 'A product that is nothing but an entitlement gives it.');

select * from finish();
rollback;
