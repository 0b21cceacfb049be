-- last_purchase_at is when credits were last bought: a purchase sets it, by whatever way, and nothing else does.

begin;
select plan(6);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
select is((select last_purchase_at from public.user_credits), null, 'A new user has bought nothing.');

set local role service_role;
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, 'purchase', null, null, '{}', 'order-7');
select is(
  (select last_purchase_at from public.user_credits),
  (select created_at from public.credit_transactions where seq = 2),
  'A purchase is dated with the time of its ledger row.'
);

select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, 'bonus');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1);
select is(
  (select last_purchase_at from public.user_credits),
  (select created_at from public.credit_transactions where seq = 2),
  'A bonus or a spend leaves the date alone.'
);
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, 'purchase', null, null, '{}', 'order-7');
select is(
  (select last_purchase_at from public.user_credits),
  (select created_at from public.credit_transactions where seq = 2),
  'The replay of a purchase leaves the date alone.'
);

insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'purchase', 5);
select is(
  (select last_purchase_at from public.user_credits),
  (select created_at from public.credit_transactions where seq = 5),
  'A purchase that is inserted into the ledger is dated too.'
);

reset role;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
