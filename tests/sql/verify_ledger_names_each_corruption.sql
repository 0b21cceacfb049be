-- verify_ledger finds what an owner who switches the guards off can do to the books, and names user, row,
-- rule and figures. Each user here has one thing wrong with theirs, the last one nothing.

begin;
select plan(15);

insert into auth.users (id, email)
select ('ada00000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, format('ada%s@example.com', n)
from generate_series(1, 11) as n;
select public.add_credits_for(id, 10, 'purchase') from auth.users;
select public.consume_credit_for(id, 4) from auth.users;
select is_empty('select * from public.verify_ledger()', 'All books add up.');

alter table public.credit_transactions disable trigger user;
alter table public.user_credits disable trigger user;

delete from public.credit_transactions where user_id = 'ada00000-0000-4000-8000-000000000001' and seq = 2;
select results_eq(
  $$ select seq, rule, expected, found from public.verify_ledger('ada00000-0000-4000-8000-000000000001') $$,
  $$
    values
      (3::bigint, 'balance_breaks_chain', -1::bigint, 9::bigint),
      (3, 'seq_has_gap', 2, 3),
      (null, 'balance_is_not_sum', -1, 9)
  $$,
  'A row that is missing in the middle leaves a gap.'
);

update public.credit_transactions set amount = 11 where user_id = 'ada00000-0000-4000-8000-000000000002' and seq = 2;
select results_eq(
  $$ select seq, rule, expected, found from public.verify_ledger('ada00000-0000-4000-8000-000000000002') $$,
  $$
    values
      (2::bigint, 'balance_breaks_chain', 14::bigint, 13::bigint),
      (3, 'balance_breaks_chain', 10, 9),
      (null, 'balance_is_not_sum', 10, 9)
  $$,
  'An amount that was edited breaks the chain from there on.'
);

update public.credit_transactions set balance_after = 99 where user_id = 'ada00000-0000-4000-8000-000000000003' and seq = 2;
select results_eq(
  $$ select seq, rule, expected, found from public.verify_ledger('ada00000-0000-4000-8000-000000000003') $$,
  $$ values (2::bigint, 'balance_breaks_chain', 13::bigint, 99::bigint) $$,
  'A balance that was edited in the ledger breaks the chain there.'
);

update public.credit_transactions set type = 'bonus' where user_id = 'ada00000-0000-4000-8000-000000000004' and seq = 3;
select results_eq(
  $$ select seq, rule, expected, found from public.verify_ledger('ada00000-0000-4000-8000-000000000004') $$,
  $$ values (3::bigint, 'amount_breaks_type', 4::bigint, -4::bigint), (null, 'used_is_not_consumption', 0, 4) $$,
  'A bonus that takes has the wrong sign.'
);

update public.credit_transactions set type = 'expiration' where user_id = 'ada00000-0000-4000-8000-000000000005' and seq = 2;
select results_eq(
  $$ select seq, rule, expected, found from public.verify_ledger('ada00000-0000-4000-8000-000000000005') $$,
  $$ values (2::bigint, 'amount_breaks_type', -10::bigint, 10::bigint) $$,
  'An expiration that adds has the wrong sign.'
);

delete from public.credit_transactions where user_id = 'ada00000-0000-4000-8000-000000000006' and seq = 3;
select results_eq(
  $$ select seq, rule, expected, found from public.verify_ledger('ada00000-0000-4000-8000-000000000006') $$,
  $$
    values
      (null::bigint, 'balance_is_not_sum', 13::bigint, 9::bigint),
      (null, 'last_seq_is_not_last', 2, 3),
      (null, 'used_is_not_consumption', 0, 4)
  $$,
  'A newest row that is missing leaves no gap, but the balance row knows its number.'
);

update public.user_credits
set credits_remaining = 10, total_credits = 14
where user_id = 'ada00000-0000-4000-8000-000000000007';
select results_eq(
  $$ select seq, rule, expected, found from public.verify_ledger('ada00000-0000-4000-8000-000000000007') $$,
  $$ values (null::bigint, 'balance_is_not_sum', 9::bigint, 10::bigint) $$,
  'A balance that was raised is not the sum of its ledger.'
);

update public.user_credits
set used_credits = 5, total_credits = 14
where user_id = 'ada00000-0000-4000-8000-000000000008';
select results_eq(
  $$ select seq, rule, expected, found from public.verify_ledger('ada00000-0000-4000-8000-000000000008') $$,
  $$ values (null::bigint, 'used_is_not_consumption', 4::bigint, 5::bigint) $$,
  'Used credits that were edited are not what was consumed.'
);

update public.user_credits set last_seq = 4 where user_id = 'ada00000-0000-4000-8000-000000000009';
select results_eq(
  $$ select seq, rule, expected, found from public.verify_ledger('ada00000-0000-4000-8000-000000000009') $$,
  $$ values (null::bigint, 'last_seq_is_not_last', 3::bigint, 4::bigint) $$,
  'A number that was edited is not that of the newest row.'
);

delete from public.user_credits where user_id = 'ada00000-0000-4000-8000-000000000010';
select results_eq(
  $$ select seq, rule, expected, found from public.verify_ledger('ada00000-0000-4000-8000-000000000010') $$,
  $$ values (null::bigint, 'ledger_without_account', 0::bigint, 3::bigint) $$,
  'A ledger whose balance row is gone is an orphan.'
);

select is_empty(
  $$ select * from public.verify_ledger('ada00000-0000-4000-8000-000000000011') $$,
  'The books that nobody touched add up.'
);
select results_eq(
  'select distinct right(user_id::text, 2)::integer from public.verify_ledger() order by 1',
  'select generate_series(1, 10)',
  'Asked about all users it names those ten, and not the last.'
);
select is(
  (select count(*) from public.verify_ledger()),
  (select count(*) from generate_series(1, 11) as n, public.verify_ledger(('ada00000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid)),
  'Asked about all users it finds what it finds for each.'
);

update public.credit_transactions
set amount = -9223372036854775808
where user_id = 'ada00000-0000-4000-8000-000000000011' and seq > 1;
select results_eq(
  $$ select seq, rule, expected, found from public.verify_ledger('ada00000-0000-4000-8000-000000000011') $$,
  $$
    values
      (2::bigint, 'amount_breaks_type', 9223372036854775807::bigint, (-9223372036854775808)::bigint),
      (2, 'balance_breaks_chain', -9223372036854775805, 13),
      (3, 'balance_breaks_chain', -9223372036854775808, 9),
      (null, 'balance_is_not_sum', -9223372036854775808, 9),
      (null, 'used_is_not_consumption', 9223372036854775807, 4)
  $$,
  'Figures too large for a bigint are reported as the nearest that is not.'
);

select * from finish();
rollback;
