-- preflight: what a database must be before it can have credits. Also run by `credits-db push`.
do $preflight$
declare
  v_taken text;
  v_ours constant text[] := array[
    'account_deletion', 'ack_outbox', 'add_credits_for', 'capture_hold_for', 'claim_outbox', 'consume_credit',
    'consume_credit_for', 'credit_hold_status', 'credit_holds', 'credit_products', 'credit_transaction_type',
    'credit_transactions', 'credit_usage', 'delete_user_account', 'delete_user_account_for',
    'end_recurring_grant', 'explain_balance_for', 'get_balance_at_for', 'get_operation', 'get_operation_for',
    'get_transaction_history', 'get_transaction_history_for', 'get_usage', 'get_usage_for', 'get_user_credits',
    'get_user_credits_for', 'grant_entitlement_for', 'grant_period', 'has_entitlement', 'has_entitlement_for',
    'ledger_violation', 'maintenance_report', 'outbox_item', 'process_revenuecat_event', 'process_stripe_event',
    'purchase_status', 'purchase_transactions', 'record_purchase_for', 'recurring_grant',
    'refund_consumption_for', 'refund_purchase', 'release_hold_for', 'reprocess_store_event',
    'reserve_credits_for', 'revenuecat_webhook', 'run_maintenance', 'set_alert_for', 'set_recurring_grant',
    'store_event', 'store_event_state', 'stripe_webhook', 'user_credits', 'user_entitlements', 'verify_ledger'
  ];
begin
  if to_regprocedure('auth.uid()') is null or 2 <> (
    select count(*)
    from pg_catalog.pg_attribute as a
    where a.attrelid = to_regclass('auth.users')
      and (a.attname, a.atttypid) in (('id', 'uuid'::regtype), ('is_anonymous', 'boolean'::regtype))
  ) then
    raise exception using
      errcode = '55000',
      message = 'Here is no table auth.users (id uuid, is_anonymous boolean) or no function auth.uid(), which Supabase has. Where there is no schema auth, credits-db push makes them.';
  end if;
  if 3 <> (select count(*) from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role')) then
    raise exception using
      errcode = '55000',
      message = 'The roles anon, authenticated and service_role are missing: this is no Supabase database. Where there is no schema auth, credits-db push makes them.';
  end if;
  if exists (select from pg_catalog.pg_tables where schemaname = 'credits_private' and tablename = 'migrations') then
    return;
  end if;
  select string_agg(distinct 'public.' || o.name, ', ')
  into v_taken
  from (
    select c.relname as name, c.relnamespace as schema from pg_catalog.pg_class as c
    union all
    select t.typname, t.typnamespace from pg_catalog.pg_type as t
    union all
    select p.proname, p.pronamespace from pg_catalog.pg_proc as p
  ) as o
  where o.schema = 'public'::regnamespace and o.name = any (v_ours);
  if v_taken is not null then
    raise exception using
      errcode = '55000',
      message = format('There is already %s, and it is not credits-db''s: rename it first.', v_taken);
  end if;
end;
$preflight$;

