-- From the instant of its expiry on a lot is neither shown nor spendable, whether or not anybody swept. The row
-- that says so is dated at that instant, and a past balance is the same before and after it was written.

begin;
select plan(29);

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

select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 2);
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 10, expires_at => '2026-03-10 12:00:00+00');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 3, expires_at => '2026-03-20 00:00:00+00');
select is(
  (select next_due_at from public.user_credits), '2026-03-10 12:00:00+00'::timestamptz,
  'The balance knows when something falls due first.'
);

create temp table instants (place integer, instant text, balance bigint, what text);
insert into instants
values
  (1, '2026-02-28 23:59:59.999999+00', 0, 'Before the first row'),
  (2, '2026-03-01 00:00:00+00', 15, 'From the first on'),
  (3, '2026-03-10 11:59:59.999999+00', 15, 'A microsecond before the expiry'),
  (4, '2026-03-10 12:00:00+00', 5, 'At the instant of the expiry'),
  (5, '2026-03-19 23:59:59.999999+00', 5, 'Until the next one'),
  (6, '2026-03-20 00:00:00+00', 2, 'From the next one on');
grant select on instants to public;

create function pg_temp.look(instant text)
  returns text
  language sql
as $$
  select set_config('test.now', instant, true);
  select concat_ws(
    ' ', (public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining,
    (select public.credits_available(a) from public.user_credits as a),
    (public.explain_balance_for('ada00000-0000-4000-8000-000000000000') ->> 'credits_available'),
    public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', instant::timestamptz)
  )
$$;
set local role service_role;
select is(pg_temp.look(instant), repeat(balance || ' ', 3) || balance, what || ' every read agrees.') from instants where place > 1 order by place;
select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
reset role;
set local role authenticated;
select is((public.get_user_credits()).credits_remaining, 2::bigint, 'So it does for the user.');
select is((select a.credits_available from public.user_credits as a), 2::bigint, 'The computed field too.');
reset role;
select is((select count(*) from public.credit_transactions), 3::bigint, 'Nothing was written for that.');
select is((select credits_remaining from public.user_credits), 15::bigint, 'The column is as last posted.');

-- a microsecond before, all can be spent; at the instant nothing of the lot
select set_config('test.now', '2026-03-10 12:00:00+00', true);
select throws_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 6) $$, 'PT402', 'insufficient_credits', 'At the instant of the expiry the lot cannot be spent.'
);
select throws_ok(
  $$ select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 6) $$, 'PT402', 'insufficient_credits', 'Nor be held.'
);
select throws_ok(
  $$ insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'consumption', -6) $$,
  'PT402', 'insufficient_credits', 'Nor be taken by hand.'
);
select is((select count(*) from public.credit_transactions), 3::bigint, 'A refusal has left nothing behind.');
select set_config('test.now', '2026-03-10 11:59:59.999999+00', true);
savepoint before;
select is((public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 15)).balance_after, 0::bigint, 'A microsecond earlier all could be spent.');
rollback to before;

-- the spend that comes next writes the expiry, before itself
select set_config('test.now', '2026-03-15 00:00:00+00', true);
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1);
select results_eq(
  'select seq, type::text, amount, balance_after, created_at from public.credit_transactions where seq > 3 order by seq',
  $$
    values
      (4::bigint, 'expiration', -10::bigint, 5::bigint, '2026-03-10 12:00:00+00'::timestamptz),
      (5, 'consumption', -1, 4, '2026-03-15 00:00:00+00')
  $$,
  'The next spend writes the expiry before itself, dated at its instant.'
);
select is(pg_temp.lots(), '2:0 3:2', 'The lot is empty, and the spend took from the next.');
select is((select total_credits from public.user_credits), 5::bigint, 'What expired is no longer counted as received.');
select is((select used_credits from public.user_credits), 1::bigint, 'Nor as used.');

-- and maintenance, where nobody spends
select set_config('test.now', '2026-03-25 00:00:00+00', true);
select is((public.run_maintenance()).expirations, 1, 'Maintenance writes what nobody has.');
select results_eq(
  'select type::text, amount, created_at from public.credit_transactions where seq = 6',
  $$ values ('expiration', -2::bigint, '2026-03-20 00:00:00+00'::timestamptz) $$,
  'It dates it at its instant too.'
);
select is((select next_due_at from public.user_credits), null, 'Nothing is due any more.');
select is(
  public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', instant::timestamptz), balance - case place when 5 then 1 when 6 then 0 else 0 end,
  what || ' the balance then is what it was.'
)
from instants
order by place;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
