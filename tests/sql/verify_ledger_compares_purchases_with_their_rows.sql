-- verify_ledger proves that each purchase is the sum of its ledger rows: granted, less what went back. It names a purchase whose
-- figures were edited, one whose row is missing, and rows of a purchase that is not there.

begin;
select plan(8);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id)
select ('ada00000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid from generate_series(1, 6) as n;
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);
select public.record_purchase_for(id, 'own', right(id::text, 1), 'pack') from auth.users;
select public.refund_purchase('own', n::text, 'refund', 40) from generate_series(1, 6) as n;
select is_empty('select * from public.verify_ledger()', 'All books add up.');

create function pg_temp.violations(n integer)
  returns table (seq bigint, rule text, expected bigint, found bigint)
  language sql
as $$
  select v.seq, v.rule, v.expected, v.found
  from public.verify_ledger(('ada00000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid) as v
$$;

update public.purchase_transactions set credits = 150 where transaction_id = '1';
select results_eq(
  'select * from pg_temp.violations(1)', $$ values (1::bigint, 'purchase_is_not_its_rows', 110::bigint, 60::bigint) $$,
  'A purchase that was raised is not what was granted.'
);
update public.purchase_transactions set refunded_credits = 0 where transaction_id = '2';
select results_eq(
  'select * from pg_temp.violations(2)', $$ values (1::bigint, 'purchase_is_not_its_rows', 100::bigint, 60::bigint) $$,
  'A refund that was edited away is still in the ledger.'
);
alter table public.purchase_transactions disable trigger user;
delete from public.purchase_transactions where transaction_id = '3';
select results_eq(
  'select * from pg_temp.violations(3)', $$ values (1::bigint, 'purchase_is_not_its_rows', 0::bigint, 60::bigint) $$,
  'Rows without their purchase show.'
);
update public.purchase_transactions set transaction_id = '4x' where transaction_id = '4';
select results_eq(
  'select * from pg_temp.violations(4) order by expected',
  $$ values (1::bigint, 'purchase_is_not_its_rows', 0::bigint, 60::bigint), (1, 'purchase_is_not_its_rows', 60, 0) $$,
  'A purchase under another name is none of these rows, and they are none of its.'
);
select is_empty('select * from pg_temp.violations(5)', 'The others add up.');
select is(
  (select count(distinct user_id) from public.verify_ledger()), 4::bigint, 'Asked about all, it names those four.'
);

-- what services write by hand is no purchase of a store
insert into public.credit_transactions (user_id, type, amount, metadata)
values
  ('ada00000-0000-4000-8000-000000000006', 'purchase', 10, '{"transaction_id": "an order of our own"}'),
  ('ada00000-0000-4000-8000-000000000006', 'clawback', -10, '{"transaction_id": "an order of our own"}');
select is_empty('select * from pg_temp.violations(6)', 'A clawback by hand that mentions an order is no violation.');

select * from finish();
rollback;
