-- Nothing in public shows or changes a row that row level security would refuse: tables have it on, views look with
-- the eyes of whoever asks, users can call no definer function there, and policies let them read what is theirs.
-- Four of Supabase's advisors ask for this (0010, 0013, 0028, 0029), the last two of them in the dashboard alone.

begin;
select plan(6);

create temp view findings as
select 'table without row level security' as what, c.relname::text as name
from pg_catalog.pg_class as c
where c.relnamespace = 'public'::regnamespace
  and c.relkind in ('r', 'p')
  and not c.relrowsecurity
union all
select 'view with the eyes of its owner', c.relname
from pg_catalog.pg_class as c
where c.relnamespace = 'public'::regnamespace
  and c.relkind in ('v', 'm')
  and not coalesce(c.reloptions && array['security_invoker=true', 'security_invoker=on'], false)
union all
select 'definer function for ' || r.rolname, p.proname
from pg_catalog.pg_proc as p
join pg_catalog.pg_roles as r on r.rolname in ('anon', 'authenticated')
where p.pronamespace = 'public'::regnamespace
  and p.prosecdef
  and has_function_privilege(r.oid, p.oid, 'EXECUTE');

select is_empty('select * from findings', 'Nothing goes around row level security.');
select is_empty(
  $$
    select p.tablename, p.policyname, p.roles
    from pg_catalog.pg_policies as p
    where p.schemaname = 'public'
      and p.cmd <> 'SELECT'
      and p.roles <> array['service_role']::name[]
  $$,
  'No policy lets anybody but services write.'
);
select is_empty(
  $$
    select p.tablename, p.policyname, p.roles
    from pg_catalog.pg_policies as p
    where p.schemaname = 'public'
      and p.roles && array['public', 'anon']::name[]
      and p.policyname <> 'everybody sees what is on sale'
  $$,
  'No policy speaks of visitors, but for the one that shows what is on sale.'
);
select is(
  (
    select jsonb_object_agg(p.policyname, array[p.tablename, p.cmd] || p.roles::text[])
    from pg_catalog.pg_policies as p
    where p.schemaname = 'public'
  ),
  '{
    "users read their own balance": ["user_credits", "SELECT", "authenticated"],
    "users read their own ledger": ["credit_transactions", "SELECT", "authenticated"],
    "services read every balance": ["user_credits", "SELECT", "service_role"],
    "services read every ledger": ["credit_transactions", "SELECT", "service_role"],
    "services add to every ledger": ["credit_transactions", "INSERT", "service_role"],
    "everybody sees what is on sale": ["credit_products", "SELECT", "anon", "authenticated"],
    "services see every product": ["credit_products", "SELECT", "service_role"],
    "users read their own purchases": ["purchase_transactions", "SELECT", "authenticated"],
    "services read every purchase": ["purchase_transactions", "SELECT", "service_role"],
    "users read their own holds": ["credit_holds", "SELECT", "authenticated"],
    "services read every hold": ["credit_holds", "SELECT", "service_role"],
    "users read their own entitlements": ["user_entitlements", "SELECT", "authenticated"],
    "services read every entitlement": ["user_entitlements", "SELECT", "service_role"]
  }',
  'The policies are these.'
);

-- findings that would miss one of these would be worth nothing
create table public.open_table (id bigint primary key);
create view public.definer_view as select user_id from public.user_credits;
create view public.invoker_view with (security_invoker = on) as select user_id from public.user_credits;
create function public.for_visitors() returns integer language sql security definer set search_path = '' as 'select 1';
revoke all on function public.for_visitors() from public, authenticated;
grant execute on function public.for_visitors() to anon;
create function public.for_users() returns integer language sql security definer set search_path = '' as 'select 1';
revoke all on function public.for_users() from public, anon;
grant execute on function public.for_users() to authenticated;
create function public.as_it_comes() returns integer language sql security definer set search_path = '' as 'select 1';
select is(
  (select jsonb_object_agg(name, what) from findings where name <> 'as_it_comes'),
  '{
    "open_table": "table without row level security",
    "definer_view": "view with the eyes of its owner",
    "for_visitors": "definer function for anon",
    "for_users": "definer function for authenticated"
  }',
  'A table, a view or a function that goes around it would show.'
);
select is(
  (select count(*) from findings where name = 'as_it_comes'), 2::bigint,
  'A definer function with the grants that it is born with would show for both.'
);

select * from finish();
rollback;
