-- A hold that nobody ends goes free at its instant, whether or not anybody swept.

begin;
select plan(13);

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

select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 10);
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 8, '15 min', idempotency_key => 'job-1');
select set_config('test.now', '2026-03-01 00:14:59.999999+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_held, 8::bigint, 'A microsecond before, it is held.');
select throws_ok($$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 3) $$, 'PT402', 'insufficient_credits', 'And cannot be spent.');
select set_config('test.now', '2026-03-01 00:15:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_held, 0::bigint, 'At the instant nothing is held.');
set local role service_role;
select is((select public.credits_available(a) from public.user_credits as a), 10::bigint, 'All of it is available.');
select is(public.explain_balance_for('ada00000-0000-4000-8000-000000000000') -> 'holds', '[]', 'There is no hold to explain.');
select results_eq(
  $$ select status::text, ended_at from public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 8, '15 min', idempotency_key => 'job-1') $$,
  $$ values ('expired', '2026-03-01 00:15:00+00'::timestamptz) $$,
  'Asked for again with its key, it is expired.'
);
reset role;
select is((select status::text from public.credit_holds), 'active', 'And nobody has written anything.');
select is((public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 10)).balance_after, 0::bigint, 'All of it can be spent.');
select results_eq(
  'select status::text, ended_at from public.credit_holds', $$ values ('expired', '2026-03-01 00:15:00+00'::timestamptz) $$,
  'The spend has written that the hold is over, and since when.'
);
select is((select credits_held from public.user_credits), 0::bigint, 'The balance says so too.');
select is(public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', '2026-03-01 00:10:00+00'), 10::bigint, 'What was held was in the balance.');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5);
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 5);
select set_config('test.now', '2026-03-02 00:00:00+00', true);
select is((public.run_maintenance()).holds, 1, 'Maintenance ends what nobody has.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
