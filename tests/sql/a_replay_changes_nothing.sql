-- A replay leaves the balance row as it was in every column, the time of its last movement included, and
-- adds nothing to the ledger. The clock of the database moves on in between, so that a stamp would show.

begin;
select plan(10);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1, 'An export', '{"pages": 4}', 'export-1');
create temp table balance_before as select * from public.user_credits;
create temp table ledger_before as select * from public.credit_transactions;
create temp table place_before as select ctid::text as place from public.user_credits;

select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1, 'An export', '{"pages": 4}', 'export-1');
select results_eq(
  'select * from public.user_credits', 'select * from balance_before',
  'The replay of the newest spend leaves the balance row as it was.'
);
select results_eq(
  'select ctid::text from public.user_credits', 'select place from place_before',
  'It does not even write it.'
);
select results_eq(
  'select * from public.credit_transactions order by seq', 'select * from ledger_before order by seq',
  'It adds nothing to the ledger.'
);

select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, 'purchase', null, 'A pack', '{}', 'order-7');
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1);
update public.user_credits set alert_below = 10, monthly_bonus_credits = 2;
truncate balance_before, ledger_before;
insert into balance_before select * from public.user_credits;
insert into ledger_before select * from public.credit_transactions;

select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1, 'An export', '{"pages": 4}', 'export-1');
select results_eq(
  'select * from public.user_credits', 'select * from balance_before',
  'The replay of an older spend leaves the balance row as it was.'
);
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, 'purchase', null, 'A pack', '{}', 'order-7');
select results_eq(
  'select * from public.user_credits', 'select * from balance_before',
  'The replay of an addition leaves the balance row as it was.'
);
insert into public.credit_transactions (user_id, type, amount, idempotency_key)
values ('ada00000-0000-4000-8000-000000000000', 'purchase', 5, 'order-7')
on conflict do nothing;
select results_eq(
  'select * from public.user_credits', 'select * from balance_before',
  'A ledger row that is inserted again leaves the balance row as it was.'
);
select results_eq(
  'select * from public.credit_transactions order by seq', 'select * from ledger_before order by seq',
  'None of these adds anything to the ledger.'
);

select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 6);
truncate balance_before;
insert into balance_before select * from public.user_credits;
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1, 'An export', '{"pages": 4}', 'export-1');
select results_eq(
  'select * from public.user_credits', 'select * from balance_before',
  'A replay when nothing is available leaves the balance row as it was.'
);

-- the first row of a ledger is the one with nothing before it
select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id, email) values ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
select public.add_credits_for('bea00000-0000-4000-8000-000000000000', 2, 'bonus', null, null, '{}', 'gift-1');
select public.consume_credit_for('bea00000-0000-4000-8000-000000000000', 1, null, '{}', 'export-1');
truncate balance_before;
insert into balance_before select * from public.user_credits where user_id = 'bea00000-0000-4000-8000-000000000000';
select public.consume_credit_for('bea00000-0000-4000-8000-000000000000', 1, null, '{}', 'export-1');
select public.add_credits_for('bea00000-0000-4000-8000-000000000000', 2, 'bonus', null, null, '{}', 'gift-1');
select results_eq(
  $$ select * from public.user_credits where user_id = 'bea00000-0000-4000-8000-000000000000' $$,
  'select * from balance_before',
  'A user without a signup bonus is no exception.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
