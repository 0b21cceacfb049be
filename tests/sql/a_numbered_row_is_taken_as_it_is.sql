-- A row that comes with its number moves nothing: that is how a restore puts rows and balances back without
-- counting them twice. Only the owner can insert one.

begin;
select plan(5);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
create temp table before as select * from public.user_credits;

insert into public.credit_transactions (user_id, seq, amount, balance_after, created_at, type, description)
values ('ada00000-0000-4000-8000-000000000000', 2, -1, 2, '2026-01-01 00:00:00+00', 'consumption', 'From a backup');

select results_eq('select * from public.user_credits', 'select * from before', 'The balance is as it was.');
select results_eq(
  'select seq, amount, balance_after, created_at, type::text, description from public.credit_transactions where seq = 2',
  $$ values (2::bigint, -1::bigint, 2::bigint, '2026-01-01 00:00:00+00'::timestamptz, 'consumption', 'From a backup') $$,
  'The row is stored to the letter.'
);
select results_eq(
  'select rule from public.verify_ledger() order by rule',
  $$ values ('balance_is_not_sum'), ('last_seq_is_not_last'), ('used_is_not_consumption') $$,
  'Until the balance row is put back too, the books say so.'
);

update public.user_credits set credits_remaining = 2, used_credits = 1, last_seq = 2;
select is_empty('select * from public.verify_ledger()', 'With it they add up.');
select throws_ok(
  $$
    insert into public.credit_transactions (user_id, seq, amount, balance_after, created_at, type)
    values ('ada00000-0000-4000-8000-000000000000', 2, -1, 1, now(), 'consumption')
  $$,
  '23505', null,
  'A number is used once.'
);

select * from finish();
rollback;
