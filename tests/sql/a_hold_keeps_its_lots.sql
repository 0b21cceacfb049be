-- A hold takes its lots when it is made, soonest expiry first, so that they cannot expire under a running job. What is not
-- captured goes back under its own expiry, and what has expired meanwhile expires then.

begin;
select plan(28);

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

select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 4);
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, expires_at => '2026-03-01 00:10:00+00');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, expires_at => '2026-03-20 00:00:00+00');
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 8, '1 hour', idempotency_key => 'job-1');
select is(pg_temp.lots(), '2:0 3:2', 'A hold takes what expires first.');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1);
select is(pg_temp.lots(), '2:0 3:1', 'A spend beside it takes from what is left.');

select set_config('test.now', '2026-03-01 00:30:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 13::bigint, 'The lot that a hold has does not expire under it.');
select public.run_maintenance();
select results_eq(
  'select credits_remaining, credits_held from public.user_credits', 'values (13::bigint, 8::bigint)', 'Maintenance takes nothing of it.'
);
savepoint held;

-- captured whole
select is((public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds where idempotency_key = 'job-1'))).balance_after, 5::bigint, 'Captured whole, it is spent after the expiry of its lot.');
select results_eq(
  'select lot_seq, amount from credits_private.lot_allocations where seq = 5 order by 1', $$ values (2::bigint, -5::bigint), (3, -3) $$,
  'The lots that the hold had have paid.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');
rollback to held;

-- captured in part: the part that has expired pays first
select public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds where idempotency_key = 'job-1'), 6);
select is(pg_temp.lots(), '2:0 3:3', 'Captured in part, what is left goes back under its own expiry.');
select is((select credits_remaining from public.user_credits), 7::bigint, 'Nothing of it has expired.');
rollback to held;
select public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds where idempotency_key = 'job-1'), 2);
select results_eq(
  'select type::text, amount, balance_after, created_at from public.credit_transactions where seq > 4 order by seq',
  $$
    values
      ('consumption', -2::bigint, 11::bigint, '2026-03-01 00:30:00+00'::timestamptz),
      ('expiration', -3, 8, '2026-03-01 00:30:00+00')
  $$,
  'Captured in a smaller part, what goes back to the lot that has ended expires at once.'
);
select is(pg_temp.lots(), '2:0 3:4', 'And the other lot has its part back.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');
rollback to held;

-- released
select public.release_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds where idempotency_key = 'job-1'));
select results_eq(
  'select type::text, amount, balance_after, created_at from public.credit_transactions where seq > 4',
  $$ values ('expiration', -5::bigint, 8::bigint, '2026-03-01 00:30:00+00'::timestamptz) $$,
  'Released after the expiry of its lot, those credits expire then.'
);
select is(pg_temp.lots(), '2:0 3:4', 'The lot that lives has its own back.');
select ok((select next_due_at <= '2026-03-20' from public.user_credits), 'Its own expiry is not forgotten.');
select is(public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', '2026-03-01 00:20:00+00'), 13::bigint, 'Under the hold they were there.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');
rollback to held;

-- expired
select set_config('test.now', '2026-03-02 00:00:00+00', true);
select results_eq(
  $$ select credits_remaining, credits_held from public.get_user_credits_for('ada00000-0000-4000-8000-000000000000') $$, 'values (8::bigint, 0::bigint)',
  'When the hold expires the ended lot does with it, without a sweep.'
);
select is(public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', '2026-03-01 00:59:59.999999+00'), 13::bigint, 'A microsecond before it was there.');
select is(public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', '2026-03-01 01:00:00+00'), 8::bigint, 'At that instant it is gone.');
select public.run_maintenance();
select results_eq(
  'select type::text, amount, created_at from public.credit_transactions where seq > 4',
  $$ values ('expiration', -5::bigint, '2026-03-01 01:00:00+00'::timestamptz) $$,
  'The row is dated at the end of the hold.'
);
select is(public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', '2026-03-01 00:59:59.999999+00'), 13::bigint, 'Written, the balance a microsecond before is the same.');
select is(public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', '2026-03-01 01:00:00+00'), 8::bigint, 'And that at the instant.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');
rollback to held;

-- in time
select set_config('test.now', '2026-03-01 00:05:00+00', true);
select public.release_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds where idempotency_key = 'job-1'));
select is(pg_temp.lots(), '2:5 3:4', 'Released in time, everything is back where it was.');
select is((select next_due_at from public.user_credits), '2026-03-01 00:10:00+00'::timestamptz, 'And falls due when it would have.');
select set_config('test.now', '2026-03-01 00:10:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 8::bigint, 'At its own instant.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
