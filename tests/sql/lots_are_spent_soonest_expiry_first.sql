-- A spend takes first what expires first, by the number of the row where two expire together, and what never
-- expires last. Which lots paid is written down for each row.

begin;
select plan(9);

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

select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 10);
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, expires_at => '2026-03-20 00:00:00+00');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, expires_at => '2026-03-10 00:00:00+00');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, expires_at => '2026-03-10 00:00:00+00');
select is(pg_temp.lots(), '2:5 3:5 4:5', 'Each grant that expires is a lot, the one that does not is none.');

select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 3);
select is(pg_temp.lots(), '2:5 3:2 4:5', 'The lot that ends first pays, the older of two.');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 8);
select is(pg_temp.lots(), '2:4 3:0 4:0', 'A spend goes on in the next lot, and the next.');
insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'consumption', -1);
select is(pg_temp.lots(), '2:3 3:0 4:0', 'A consumption inserted by hand pays from lots too.');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 7);
select is(pg_temp.lots(), '2:0 3:0 4:0', 'What never expires is spent last.');
select results_eq(
  'select seq, lot_seq, amount from credits_private.lot_allocations order by seq, lot_seq',
  $$ values (5::bigint, 3::bigint, -3::bigint), (6, 2, -1), (6, 3, -2), (6, 4, -5), (7, 2, -1), (8, 2, -3) $$,
  'Each row says which lots paid it; the rest came from what never expires.'
);
select is((select credits_remaining from public.user_credits), 6::bigint, 'The balance is what is left of all.');

select set_config('test.now', '2026-04-01 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 6::bigint, 'Lots that were spent have nothing to expire.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
