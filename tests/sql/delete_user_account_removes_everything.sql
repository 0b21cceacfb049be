-- delete_user_account takes balance, ledger and auth user of whoever is signed in, and answers with a receipt.
-- Afterwards no column of any table mentions the user. Called again it removes nothing and says so.

begin;
select plan(14);

insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 7, 'purchase', null, 'A pack', '{}', 'order-7');
select public.consume_credit_for(
  'ada00000-0000-4000-8000-000000000000', 1, 'For ada00000-0000-4000-8000-000000000000',
  '{"who": ["ada00000-0000-4000-8000-000000000000"]}', 'ada00000-0000-4000-8000-000000000000'
);
select credits_private.set_product('any', 'pro_pack', 10, 0, 0, null, null, 'pro', null, null, null);
select public.process_revenuecat_event(
  '{"event": {
    "id": "event-1", "type": "INITIAL_PURCHASE", "app_user_id": "ADA00000-0000-4000-8000-000000000000",
    "aliases": ["$RCAnonymousID:ada"], "store": "APP_STORE", "environment": "PRODUCTION", "transaction_id": "1",
    "product_id": "pro_pack"
  }}'
);
-- all that has a life of its own: a lot, a hold on it, a grant that is due, a notice, a refund
select public.set_alert_for('ada00000-0000-4000-8000-000000000000', 20);
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, expires_at => now() + interval '1 day');
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 2, description => 'For ada00000-0000-4000-8000-000000000000');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 8);
select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 6);
select public.set_recurring_grant('daily', 1, 'day', 'ada00000-0000-4000-8000-000000000000');
create temp table others_before as
select a.*, (select count(*) from public.credit_transactions as t where t.user_id = a.user_id) as ledger_rows
from public.user_credits as a
where a.user_id = 'bea00000-0000-4000-8000-000000000000';

-- the tables of a receipt of which something was removed
create function pg_temp.counted(removed jsonb)
  returns jsonb
  language sql
as $$
  select coalesce(jsonb_object_agg(r.key, r.value) filter (where r.value <> '0'), '{}') from jsonb_each(removed) as r
$$;

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
    order by 1, 2, 3
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

select is(
  (select array_agg(c order by c) from pg_temp.columns_that_mention('ada00000') as c),
  array[
    'auth.users.id',
    'credits_private.credit_lots.user_id',
    'credits_private.due_accounts.user_id',
    'credits_private.hold_lots.user_id',
    'credits_private.lot_allocations.user_id',
    'credits_private.outbox.user_id',
    'credits_private.purchase_claims.user_id',
    'credits_private.recurring_grants.user_id',
    'credits_private.store_customers.user_id',
    'credits_private.store_events.body',
    'credits_private.store_events.user_id',
    'public.credit_holds.description',
    'public.credit_holds.user_id',
    'public.credit_transactions.description',
    'public.credit_transactions.idempotency_key',
    'public.credit_transactions.metadata',
    'public.credit_transactions.user_id',
    'public.purchase_transactions.user_id',
    'public.user_credits.user_id',
    'public.user_entitlements.user_id'
  ],
  'Before, the user is mentioned in these columns.'
);

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select results_eq(
  'select user_id, credits_written_off, pg_temp.counted(removed) from public.delete_user_account()',
  $$
    values (
      'ada00000-0000-4000-8000-000000000000'::uuid, 25::bigint,
      '{
        "auth.users": 1, "public.user_credits": 1, "public.credit_transactions": 8, "public.credit_holds": 1,
        "public.purchase_transactions": 1, "public.user_entitlements": 1, "credits_private.credit_lots": 2,
        "credits_private.lot_allocations": 3, "credits_private.hold_lots": 1, "credits_private.recurring_grants": 1,
        "credits_private.due_accounts": 1, "credits_private.outbox": 1, "credits_private.store_customers": 1
      }'::jsonb
    )
  $$,
  'The receipt says what was removed, and how many credits were given up.'
);
select throws_ok(
  'select public.consume_credit()', 'PT404', 'account_not_found',
  'A token that outlives its user spends nothing.'
);
select throws_ok(
  'select public.get_user_credits()', 'PT404', 'account_not_found',
  'A token that outlives its user has no balance.'
);
select is_empty('select * from public.get_transaction_history()', 'A token that outlives its user has no history.');
select results_eq(
  'select user_id, credits_written_off, pg_temp.counted(removed) from public.delete_user_account()',
  $$
    values ('ada00000-0000-4000-8000-000000000000'::uuid, 0::bigint, '{}'::jsonb)
  $$,
  'Called again it removes nothing, and says so.'
);
select ok(
  (select abs(extract(epoch from clock_timestamp() - deleted_at)) < 5 from public.delete_user_account()),
  'The receipt carries the time.'
);

reset role;
select is_empty(
  $$ select * from pg_temp.columns_that_mention('ada00000') $$,
  'Afterwards no column of any table mentions the user.'
);
select is_empty(
  $$ select * from pg_temp.columns_that_mention('ada@example.com') $$,
  'Nor the address of the user.'
);
select results_eq(
  $$
    select a.*, (select count(*) from public.credit_transactions as t where t.user_id = a.user_id) as ledger_rows
    from public.user_credits as a
  $$,
  'select * from others_before',
  'Nobody else has lost anything.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

insert into auth.users (id, email) values ('ada10000-0000-4000-8000-000000000000', 'ada@example.com');
select results_eq(
  $$
    select credits_remaining, last_seq
    from public.user_credits
    where user_id = 'ada10000-0000-4000-8000-000000000000'
  $$,
  'values (0::bigint, 0::bigint)',
  'Whoever signs up again begins anew, without another signup bonus.'
);

-- a host's row of personal_data that is not right any more
create table public.host_jobs (owner_id uuid);
insert into credits_private.personal_data (relation, predicate) values ('public.host_jobs', 't.user_id = $1');
set local client_min_messages = error;  -- the warning
select results_eq(
  $$
    select removed -> 'public.host_jobs', removed -> 'auth.users'
    from public.delete_user_account_for('ada10000-0000-4000-8000-000000000000')
  $$,
  $$ values ('null'::jsonb, '1'::jsonb) $$, 'What cannot be counted is null on the receipt, and the user is deleted.'
);
select is_empty($$ select from auth.users where id = 'ada10000-0000-4000-8000-000000000000' $$, 'Whatever the receipt could not say.');

select * from finish();
rollback;
