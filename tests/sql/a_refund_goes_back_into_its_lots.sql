-- What a consumption had taken from lots goes back into them, the last taken first, under their own expiry. What has
-- expired meanwhile stays expired, and the ledger says so; a debt is paid from it first.

begin;
select plan(22);

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
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, expires_at => '2026-03-10 00:00:00+00');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, expires_at => '2026-03-20 00:00:00+00');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 12);
select is(pg_temp.lots(), '2:0 3:0', 'A consumption takes both lots and two credits beside.');
savepoint spent;

select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 4, 1);
select is(pg_temp.lots(), '2:0 3:0', 'What came from credits that never expire goes back first.');
select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 4, 3);
select is(pg_temp.lots(), '2:0 3:2', 'Then the lot that was taken last.');
select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 4, 5);
select is(pg_temp.lots(), '2:2 3:5', 'Then the one before.');
select is(
  (select next_due_at from public.user_credits), '2026-03-10 00:00:00+00'::timestamptz, 'It is due when it was due before.'
);
select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 4);
select is(pg_temp.lots(), '2:5 3:5', 'At the end everything is where it was.');
select set_config('test.now', '2026-03-10 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 9::bigint, 'And expires as it would have.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');
rollback to spent;

-- one lot has expired when the credits come back
select set_config('test.now', '2026-03-15 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 2::bigint, 'Nothing expired: it had been spent.');
select is((public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 4)).amount, 12::bigint, 'All of it is given back.');
select results_eq(
  'select seq, type::text, amount, balance_after, created_at from public.credit_transactions where seq > 4 order by seq',
  $$
    values
      (5::bigint, 'refund', 12::bigint, 14::bigint, '2026-03-15 00:00:00+00'::timestamptz),
      (6, 'expiration', -5, 9, '2026-03-15 00:00:00+00')
  $$,
  'What had expired meanwhile expires at once, and the ledger says so.'
);
select is(pg_temp.lots(), '2:0 3:5', 'Only the lot that lives has its credits back.');
select is(public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', '2026-03-12'), 2::bigint, 'The past is as it was.');
select throws_ok(
  $$ select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 4, 1) $$, 'PT409', 'refund_exceeds_consumption', 'What expired counts as given back.'
);
select throws_ok(
  $$ select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 6) $$, 'PT404', 'transaction_not_found', 'An expiry cannot be given back.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');
rollback to spent;

-- in debt
insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'clawback', -8);
select is((select credits_remaining from public.user_credits), -6::bigint, 'The store has taken more than there was.');
select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 4, 7);
select results_eq(
  'select credits_remaining, (select sum(remaining)::bigint from credits_private.credit_lots) from public.user_credits',
  'values (1::bigint, 1::bigint)', 'What is given back pays the debt first; one credit beyond it is in its lot.'
);
select is(pg_temp.lots(), '2:0 3:1', 'In the lot from which it was taken last.');
select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 4);
select is((select credits_remaining from public.user_credits), 6::bigint, 'The rest comes back whole.');
select is(pg_temp.lots(), '2:5 3:1', 'Into the lot that it came from.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
