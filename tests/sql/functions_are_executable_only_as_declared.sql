-- Who may call what is this list, no more and no less. Everything else belongs to the owner, and nothing is
-- open to PUBLIC, which on Supabase takes more than one revoke.

begin;
select plan(5);

create role nobody_in_particular nologin;

create temp table declared (role text, function text);
insert into declared
select 'authenticated', name
from unnest(array[
  'public.consume_credit',
  'public.delete_user_account',
  'public.get_operation',
  'public.get_transaction_history',
  'public.get_usage',
  'public.get_user_credits',
  'public.has_entitlement',
  'public.credits_available',
  'public.id',
  -- the bodies of the calls above
  'credits_private.consume_credit',
  'credits_private.delete_user_account',
  'credits_private.get_operation',
  'credits_private.get_transaction_history',
  'credits_private.get_usage',
  'credits_private.get_user_credits',
  'credits_private.has_entitlement'
]) as functions (name);
insert into declared
select 'anon', name
from unnest(array[
  -- authentic by their signature
  'public.revenuecat_webhook',
  'public.stripe_webhook',
  'credits_private.revenuecat_webhook',
  'credits_private.stripe_webhook'
]) as functions (name);
insert into declared
select 'service_role', name
from unnest(array[
  'public.ack_outbox',
  'public.add_credits_for',
  'public.capture_hold_for',
  'public.claim_outbox',
  'public.consume_credit_for',
  'public.delete_user_account_for',
  'public.end_recurring_grant',
  'public.explain_balance_for',
  'public.export_user_data_for',
  'public.get_balance_at_for',
  'public.get_operation_for',
  'public.get_transaction_history_for',
  'public.get_usage_for',
  'public.get_user_credits_for',
  'public.grant_entitlement_for',
  'public.has_entitlement_for',
  'public.process_revenuecat_event',
  'public.process_stripe_event',
  'public.record_purchase_for',
  'public.refund_consumption_for',
  'public.refund_purchase',
  'public.release_hold_for',
  'public.reprocess_store_event',
  'public.reserve_credits_for',
  'public.run_maintenance',
  'public.set_alert_for',
  'public.set_recurring_grant',
  'public.verify_ledger',
  'public.credits_available',
  'public.id'
]) as functions (name);

create temp view actual as
select r.rolname::text as role, format('%s.%s', n.nspname, p.proname) as function
from pg_catalog.pg_proc as p
join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
cross join pg_catalog.pg_roles as r
where n.nspname in ('public', 'credits_private')
  and r.rolname in ('anon', 'authenticated', 'service_role', 'authenticator', 'nobody_in_particular')
  and has_function_privilege(r.oid, p.oid, 'EXECUTE');

select is_empty(
  'select * from actual except select * from declared',
  'Nobody may call more than is declared.'
);
select is_empty(
  'select * from declared except select * from actual',
  'Nobody may call less than is declared.'
);
select is_empty(
  $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and (
        p.proacl is null
        or exists (select from aclexplode(p.proacl) as a where a.grantee = 0)
      )
  $$,
  'Nothing is open to PUBLIC.'
);
select is_empty(
  $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p, aclexplode(p.proacl) as a
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and a.is_grantable
      and a.grantee <> p.proowner
  $$,
  'Nobody may pass on what they may call.'
);

-- a list that would miss a function would be worth nothing
create function public.a_new_function() returns integer language sql set search_path = '' as 'select 1';
grant execute on function public.a_new_function() to public;
select is(
  (select count(*) from (select * from actual except select * from declared) as more), 5::bigint,
  'A function that is not in the list would show, for each role.'
);

select * from finish();
rollback;
