-- A product with expires_after sells lots, which last from the day on which they were paid. A refund leaves the same
-- balance, whether it comes before the expiry or after it.

begin;
select plan(15);

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

select credits_private.set_product('any', 'season', 20, 0, 0, null, null, null, '1 month', null, null);
select set_config('test.now', '2026-01-31 10:00:00+00', true);
select is(
  (public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'play_store', 't1', 'season')).credits_expire_at, '2026-02-28 10:00:00+00'::timestamptz,
  'A month after the 31st of January is the end of February.'
);
select results_eq(
  'select seq, granted, remaining, expires_at from credits_private.credit_lots',
  $$ values (1::bigint, 20::bigint, 20::bigint, '2026-02-28 10:00:00+00'::timestamptz) $$,
  'The purchase is a lot.'
);
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'play_store', 't1', 'season');
select is((select count(*) from credits_private.credit_lots), 1::bigint, 'Told again it is no second lot.');
select credits_private.set_product('any', 'season', 20, 0, 0, null, null, null, '1 year', null, null);
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'play_store', 't1', 'season');
select is(
  (select expires_at from credits_private.credit_lots), '2026-02-28 10:00:00+00'::timestamptz,
  'A product edited later prolongs nothing.'
);
select credits_private.set_product('any', 'season', 20, 0, 0, null, null, null, '1 month', null, null);
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 3);
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 5);
savepoint sold;

-- refunded in time
select public.refund_purchase('play_store', 't1', 'r1');
select results_eq(
  'select type::text, amount, balance_after from public.credit_transactions where seq > 3 order by seq',
  $$ values ('clawback', -20::bigint, -2::bigint) $$,
  'A refund in time takes all of the purchase: what is left of it, and for what was spent the rest.'
);
select is(pg_temp.lots(), '1:0', 'Nothing is left of the lot.');
select set_config('test.now', '2026-03-05 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, -2::bigint, 'Its expiry takes nothing more.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');
rollback to sold;

-- refunded late, swept or not
select set_config('test.now', '2026-03-05 00:00:00+00', true);
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 3::bigint, 'Expired, only the rest is there.');
select public.refund_purchase('play_store', 't1', 'r1');
select is((select credits_remaining from public.user_credits), -2::bigint, 'A refund after the expiry ends with the same balance.');
select results_eq(
  'select type::text, amount from public.credit_transactions where seq > 3 order by seq',
  $$ values ('expiration', -15::bigint), ('admin_adjustment', 15), ('clawback', -20) $$,
  'The ledger says how: what had expired is given back, so that it is not taken twice.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');
rollback to sold;

-- in two parts, one before and one after
select public.refund_purchase('play_store', 't1', 'r1', 8);
select is((select credits_remaining from public.user_credits), 10::bigint, 'A refund of a part takes that part.');
select set_config('test.now', '2026-03-05 00:00:00+00', true);
select public.refund_purchase('play_store', 't1', 'r2', 12);
select is((select credits_remaining from public.user_credits), -2::bigint, 'Refunded in part before and in part after it is the same.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
