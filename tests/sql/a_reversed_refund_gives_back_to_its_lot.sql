-- A refund of a purchase that expires, taken back by the store, gives back exactly what it took, to where it took it;
-- what has expired meanwhile expires again.

begin;
select plan(12);

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

-- what is left in each lot, by the row that granted it
create function pg_temp.lots()
  returns text
  language sql
as $$
  select string_agg(format('%s:%s', l.seq, l.remaining), ' ' order by l.seq) from credits_private.credit_lots as l
$$;

select credits_private.set_product('any', 'season', 20, 0, 0, null, null, null, '10 days', null, null);
create function pg_temp.dispute(type text, status text)
  returns text
  language sql
as $$
  select (
    public.process_stripe_event(
      jsonb_build_object(
        'id', 'evt_' || type, 'type', 'charge.dispute.' || type, 'livemode', true,
        'data', jsonb_build_object('object', jsonb_build_object('id', 'dp_1', 'payment_intent', 'pi_1', 'status', status))
      )::json
    )
  ).state::text
$$;
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'stripe', 'pi_1', 'season');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 4, expires_at => '2026-03-20 00:00:00+00');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 3);
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 5);
select is(pg_temp.lots(), '1:15 2:4', 'Of three kinds of credits some of the purchase are spent.');

select pg_temp.dispute('created', 'needs_response');
select is((select credits_remaining from public.user_credits), 2::bigint, 'A dispute takes all of the purchase.');
select is(pg_temp.lots(), '1:0 2:2', 'From its lot, then from what never expires, then from the other lot.');
savepoint disputed;
select pg_temp.dispute('closed', 'won');
select is(pg_temp.lots(), '1:15 2:4', 'Won, each lot has what it had.');
select is((select credits_remaining from public.user_credits), 22::bigint, 'And so has the balance.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');
select set_config('test.now', '2026-03-11 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 7::bigint, 'The lot expires when it would have.');
rollback to disputed;

select set_config('test.now', '2026-03-15 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 2::bigint, 'Under the dispute there is nothing to expire.');
select pg_temp.dispute('closed', 'won');
select is((select credits_remaining from public.user_credits), 7::bigint, 'Won after the expiry, what has expired does not come back.');
select results_eq(
  'select type::text, amount, created_at from public.credit_transactions where seq > 5 order by seq',
  $$
    values
      ('clawback_reversal', 20::bigint, '2026-03-15 00:00:00+00'::timestamptz),
      ('expiration', -15, '2026-03-15 00:00:00+00')
  $$,
  'The ledger says that it was given back and that it had expired.'
);
select is(pg_temp.lots(), '1:0 2:4', 'The lot that lives on has its credits.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
