-- A hold survives a clawback: what the store takes back is taken from free credits, then from under the hold, and its capture
-- makes a debt.

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

select credits_private.set_product('any', 'pack', 10, 0, 0, null, null, null, null, null, null);
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'play_store', 't1', 'pack');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, expires_at => '2026-03-20 00:00:00+00');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 2, expires_at => '2026-03-10 00:00:00+00');
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 12, '1 day', idempotency_key => 'job-1');
select is(pg_temp.lots(), '2:0 3:0', 'A hold has both lots and half of a purchase.');
select public.refund_purchase('play_store', 't1', 'r1');
select results_eq(
  'select credits_remaining, credits_held, public.credits_available(a) from public.user_credits as a',
  'values (7::bigint, 12::bigint, -5::bigint)',
  'The store takes the purchase, and more is held than is there.'
);
select throws_ok($$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000') $$, 'PT402', 'insufficient_credits', 'Nothing can be spent.');
select is(
  (select sum(amount) from credits_private.hold_lots), 7::numeric, 'The hold has its lots still: what never expires has covered the refund.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');
insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'admin_adjustment', -4);
select results_eq(
  'select lot_seq, amount from credits_private.hold_lots', 'values (2::bigint, 3::bigint)', 'What is taken beyond comes from under the hold, soonest expiry first.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');
savepoint before;
select is((public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds where idempotency_key = 'job-1'))).balance_after, -9::bigint, 'The capture of all of it is a debt.');
select throws_ok($$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000') $$, 'PT402', 'insufficient_credits', 'Nobody consumes in debt.');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 11, expires_at => '2026-03-20 00:00:00+00');
select is((select remaining from credits_private.credit_lots where seq > 3), 2::bigint, 'The next credits pay it first, those that expire too.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');
rollback to before;
select is((public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds where idempotency_key = 'job-1'), 2)).balance_after, 1::bigint, 'The capture of a part that is there is none.');
select is(pg_temp.lots(), '2:1 3:0', 'What is left is in its lot again.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
