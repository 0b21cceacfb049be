-- The totals of every month, of the ledger and of sales, are the same before and after a deletion; what was written off is what the
-- deleted had, and the totals less that are the balances of whoever is here.

begin;
select plan(12);

create or replace function credits_private.now()
  returns timestamptz
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  return coalesce(nullif(current_setting('test.now', true), ''), '2030-01-31 23:30:00+00')::timestamptz;
end;
$$;
set local timezone = 'Asia/Tokyo';  -- where it is February already
insert into auth.users (id, email)
select ('ada00000-0000-4000-8000-00000000000' || n)::uuid, format('ada%s@example.com', n) from generate_series(1, 3) as n;
select credits_private.set_product('any', 'pack', 100, 0, 0, 500, 'EUR', null, null, null, null);
select public.record_purchase_for(id, 'stripe', 'pi_1_' || id, 'pack', 500, 'EUR') from auth.users;
select public.consume_credit_for(id, 10) from auth.users;
select set_config('test.now', '2030-03-01 00:00:00+00', true);
select public.record_purchase_for(id, 'app_store', 'ios_' || id, 'pack', 1400, 'EUR', quantity => 2) from auth.users;
select public.record_purchase_for(id, 'own', 'free_' || id, 'pack') from auth.users;
select public.refund_purchase('app_store', 'ios_' || id, 'r1', 50) from auth.users where email like 'ada1%';
select public.reserve_credits_for(id, 7) from auth.users;
insert into public.credit_transactions (user_id, type, amount) select id, 'clawback', -1000 from auth.users where email like 'ada2%';

create temp table before as
select (select jsonb_agg(t order by t.month, t.type) from credits_private.monthly_totals as t) as totals,
  (select jsonb_agg(s order by s.month, s.store, s.status, s.currency) from credits_private.monthly_sales as s) as sales,
  (select sum(credits_remaining) from public.user_credits where user_id::text not like '%3') as given_up;
select results_eq(
  'select month, credits, operations from credits_private.monthly_totals where type = ''consumption''',
  $$ values ('2030-01-01'::date, -30::bigint, 3::bigint) $$, 'A month is one of UTC.'
);

select public.delete_user_account_for('ada00000-0000-4000-8000-000000000001');
delete from auth.users where id = 'ada00000-0000-4000-8000-000000000002';

select is((select jsonb_agg(t order by t.month, t.type) from credits_private.monthly_totals as t), totals, 'The ledger''s months are the same.') from before;
select is((select jsonb_agg(s order by s.month, s.store, s.status, s.currency) from credits_private.monthly_sales as s), sales, 'So are those of sales.') from before;
select is((select sum(credits_written_off) from credits_private.closed_accounts), given_up, 'What they had was written off, a debt too.') from before;
select is(
  (select sum(credits) from credits_private.monthly_totals) - (select sum(credits_written_off) from credits_private.closed_accounts),
  (select sum(credits_remaining) from public.user_credits)::numeric, 'The rest is what the others have.'
);
select public.delete_user_account_for('ada00000-0000-4000-8000-000000000003');
select public.delete_user_account_for('ada00000-0000-4000-8000-000000000003');
select is((select jsonb_agg(t order by t.month, t.type) from credits_private.monthly_totals as t), totals, 'Also when nobody is left.') from before;
select is((select jsonb_agg(s order by s.month, s.store, s.status, s.currency) from credits_private.monthly_sales as s), sales, 'Of sales too.') from before;
select is((select count(*) from credits_private.closed_accounts), 3::bigint, 'Three accounts were closed.');
select is(
  (select count(distinct closed_account_id) from credits_private.purchase_claims where user_id is null), 3::bigint,
  'Their claims stand under the same ids.'
);


-- what had fallen due and was not written
select set_config('test.now', '2030-03-01 00:30:00+00', true);
insert into auth.users (id, email)
select ('bea00000-0000-4000-8000-00000000000' || n)::uuid, format('bea%s@example.com', n) from generate_series(1, 3) as n;
select public.add_credits_for(id, 10, expires_at => '2030-03-31 12:00:00+00') from auth.users;
select set_config('test.now', '2030-04-30 23:30:00+00', true);  -- in Tokyo it is May
select results_eq(
  $$
    select credits_written_off, removed -> 'public.credit_transactions'
    from public.delete_user_account_for('bea00000-0000-4000-8000-000000000001')
  $$,
  $$ values (3::bigint, '3'::jsonb) $$, 'A receipt counts what had fallen due.'
);
delete from auth.users where id = 'bea00000-0000-4000-8000-000000000002';
update auth.users set deleted_at = now() where id = 'bea00000-0000-4000-8000-000000000003';
select results_eq(
  'select credits_written_off, closed_at from credits_private.closed_accounts where closed_at > ''2030-03-01''',
  $$ values (3::bigint, '2030-04-30'::date), (3, '2030-04-30'), (3, '2030-04-30') $$, 'So does what was written off, by whichever way, on a day of UTC.'
);
select results_eq(
  'select month, credits, operations from credits_private.monthly_totals where type = ''expiration''',
  $$ values ('2030-03-01'::date, -30::bigint, 3::bigint) $$, 'And the month in which it fell due.'
);

select * from finish();
rollback;
