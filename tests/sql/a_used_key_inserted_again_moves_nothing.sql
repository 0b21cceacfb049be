-- A row with a key that the user has used already is left to the unique key of the ledger: with on conflict
-- do nothing the insert is a replay, without it an error. Either way no credits move.

begin;
select plan(9);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
set local role service_role;
insert into public.credit_transactions (user_id, type, amount, idempotency_key)
values ('ada00000-0000-4000-8000-000000000000', 'purchase', 10, 'order-7');
reset role;
create temp table before as select * from public.user_credits;
grant select on before to public;
set local role service_role;

select lives_ok(
  $$
    insert into public.credit_transactions (user_id, type, amount, idempotency_key)
    values ('ada00000-0000-4000-8000-000000000000', 'purchase', 10, 'order-7')
    on conflict do nothing
  $$,
  'With on conflict do nothing a used key is no error.'
);
select results_eq('select * from public.user_credits', 'select * from before', 'It moves nothing.');
select lives_ok(
  $$
    insert into public.credit_transactions (user_id, type, amount, idempotency_key)
    values ('ada00000-0000-4000-8000-000000000000', 'consumption', -999, 'order-7')
    on conflict (user_id, idempotency_key) do nothing
  $$,
  'A used key counts before anything that the row would do.'
);
select throws_ok(
  $$
    insert into public.credit_transactions (user_id, type, amount, idempotency_key)
    values ('ada00000-0000-4000-8000-000000000000', 'purchase', 10, 'order-7')
  $$,
  '23505', null,
  'Without on conflict a used key is a unique violation.'
);
select throws_ok(
  $$
    insert into public.credit_transactions (user_id, type, amount, idempotency_key)
    values ('ada00000-0000-4000-8000-000000000000', 'purchase', 10, 'order-7')
    on conflict (user_id, idempotency_key) do update set amount = 20
  $$,
  '42501', null,
  'A service cannot turn the conflict into a change.'
);
select results_eq('select * from public.user_credits', 'select * from before', 'None of these moves anything.');

insert into public.credit_transactions (user_id, type, amount, idempotency_key)
values
  ('ada00000-0000-4000-8000-000000000000', 'bonus', 1, 'gift-1'),
  ('ada00000-0000-4000-8000-000000000000', 'bonus', 1, 'gift-1'),
  ('ada00000-0000-4000-8000-000000000000', 'purchase', 10, 'order-7'),
  ('ada00000-0000-4000-8000-000000000000', 'bonus', 1, 'gift-2')
on conflict do nothing;
select results_eq(
  'select seq, amount, balance_after, idempotency_key collate "default" from public.credit_transactions where seq > 2 order by seq',
  $$ values (3::bigint, 1::bigint, 14::bigint, 'gift-1'), (4, 1, 15, 'gift-2') $$,
  'Of several rows in one statement the new ones count once each, without a gap.'
);
select results_eq(
  'select credits_remaining, last_seq from public.user_credits',
  'values (15::bigint, 4::bigint)',
  'The balance has moved by the new ones.'
);

reset role;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
