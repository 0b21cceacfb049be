-- Intervals compare as if every month had 30 days, and add up in the time zone of the session. What is held, leased or sold
-- lasts as long as the calendar of UTC says, and an interval that would lead back in some month is refused.

begin;
select plan(14);

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

select set_config('test.now', '2026-07-31 12:00:00+00', true);
set local timezone = 'America/New_York';
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');

select throws_ok(
  format($$ select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1, %L) $$, length),
  '22023', 'invalid_argument', format('A hold does not last %s.', coalesce(length, 'null'))
)
from unnest(array['-1 mon 30 days 1 second', '1 mon', '30 days 1 second', '999 ms', null]) as lengths (length);
select throws_ok(
  format('select public.claim_outbox(1, %L)', length), '22023', 'invalid_argument', format('Nor a lease %s.', length)
)
from unnest(array['-1 mon 30 days 1 second', '1 day 1 second', '0']) as lengths (length);
select throws_ok(
  format($$ select credits_private.set_product('any', 'pack', 1, 0, 0, null, null, null, %L, null, null) $$, length),
  '22023', 'invalid_argument', format('Nor credits for %s.', length)
)
from unnest(array['1 mon -29 days -1 hour', '59 minutes', '101 years']) as lengths (length);
select set_config('test.now', '2026-02-10 12:00:00+00', true);
select is(
  (public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1, '1 mon')).expires_at, '2026-03-10 12:00:00+00',
  'In February a month is no more than 30 days.'
);

-- paid five weeks later, with the change of New York's clocks between the end that was told and the one that is now
select credits_private.set_product('any', 'pack', 10, 0, 0, null, null, null, '30 days', null, null);
select set_config('test.now', '2026-02-01 12:00:00+00', true);
create function pg_temp.paid(id text, status text)
  returns text
  language sql
as $$
  select e.state::text
  from public.process_stripe_event(
    json_build_object(
      'id', id, 'object', 'event', 'livemode', true,
      'type', case status when 'paid' then 'checkout.session.async_payment_succeeded' else 'checkout.session.completed' end,
      'data', json_build_object('object', json_build_object(
        'id', 'cs_1', 'mode', 'payment', 'payment_status', status, 'payment_intent', 'pi_1', 'currency', 'usd',
        'client_reference_id', 'ada00000-0000-4000-8000-000000000000', 'metadata', json_build_object('product_id', 'pack')
      ))
    )
  ) as e
$$;
select pg_temp.paid('1', 'unpaid');
select set_config('test.now', '2026-03-09 12:00:00+00', true);
select is(pg_temp.paid('2', 'paid'), 'processed', 'A payment arrives.');
select is(
  (select p.credits_expire_at from public.purchase_transactions as p), '2026-04-08 12:00:00+00',
  'Its credits last 30 days from then, to the hour.'
);

select * from finish();
rollback;
