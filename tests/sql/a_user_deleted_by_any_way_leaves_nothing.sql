-- Whoever deletes rows of auth.users directly, as a dashboard does, leaves the same state behind as
-- delete_user_account: no balance, no ledger, for one user and for many.

begin;
select plan(8);

insert into auth.users (id, email)
select ('ada00000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, format('ada%s@example.com', n)
from generate_series(1, 50) as n;
insert into auth.users (id, email) values ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
select public.consume_credit_for(id) from auth.users;
-- one user in debt, one with all that has a life of its own: a lot, a hold on it, a grant, a notice, a refund
insert into public.credit_transactions (user_id, type, amount)
values ('ada00000-0000-4000-8000-000000000002', 'clawback', -10);
select public.set_alert_for('ada00000-0000-4000-8000-000000000003', 6);
select public.add_credits_for('ada00000-0000-4000-8000-000000000003', 5, expires_at => now() + interval '1 day');
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000003', 2);
select public.consume_credit_for('ada00000-0000-4000-8000-000000000003', 4);
select public.refund_consumption_for('ada00000-0000-4000-8000-000000000003', 4);
select public.set_recurring_grant('daily', 1, 'day', 'ada00000-0000-4000-8000-000000000003');

-- the columns in which a word stands anywhere
create function pg_temp.columns_that_mention(word text)
  returns setof text
  language plpgsql
as $$
declare
  v_column record;
  v_found boolean;
begin
  for v_column in
    select c.table_schema, c.table_name, c.column_name
    from information_schema.columns as c
    join information_schema.tables as t using (table_schema, table_name)
    where c.table_schema in ('public', 'auth', 'credits_private')
      and t.table_type = 'BASE TABLE'
  loop
    execute format(
      'select exists (select from %I.%I as t where t.%I::text ilike %L)',
      v_column.table_schema, v_column.table_name, v_column.column_name, '%' || word || '%'
    )
    into v_found;
    if v_found then
      return next format('%s.%s.%s', v_column.table_schema, v_column.table_name, v_column.column_name);
    end if;
  end loop;
end;
$$;

select is((select count(*) from public.user_credits), 51::bigint, 'There are 51 balances.');
select is((select count(*) from public.credit_transactions), 106::bigint, 'There are 106 ledger rows.');

select lives_ok(
  $$ delete from auth.users where id = 'ada00000-0000-4000-8000-000000000001' $$,
  'A user may be deleted without our being asked.'
);
select is_empty(
  $$ select * from pg_temp.columns_that_mention('ada00000-0000-4000-8000-000000000001') $$,
  'No column of any table mentions the user.'
);
select lives_ok(
  $$ delete from auth.users where id <> 'bea00000-0000-4000-8000-000000000000' $$,
  'Many users may be deleted at once, those in debt too.'
);
select is_empty(
  $$ select * from pg_temp.columns_that_mention('ada00000') $$,
  'No column of any table mentions any of them.'
);
select results_eq(
  $$ select user_id, credits_remaining, (select count(*) from public.credit_transactions) from public.user_credits $$,
  $$ values ('bea00000-0000-4000-8000-000000000000'::uuid, 2::bigint, 2::bigint) $$,
  'Who was not deleted has everything.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
