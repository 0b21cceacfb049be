-- Every table in public has row level security, with policies that let users read what is theirs and write
-- nothing. A view there would have to look with the eyes of whoever asks.

begin;
select plan(5);

select is_empty(
  $$
    select c.oid::regclass
    from pg_catalog.pg_class as c
    where c.relnamespace = 'public'::regnamespace
      and c.relkind in ('r', 'p')
      and not c.relrowsecurity
  $$,
  'Every table in public has row level security.'
);
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
  $$,
  'No policy speaks of visitors.'
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
    "services add to every ledger": ["credit_transactions", "INSERT", "service_role"]
  }',
  'The policies are these.'
);
select is_empty(
  $$
    select c.oid::regclass
    from pg_catalog.pg_class as c
    where c.relnamespace = 'public'::regnamespace
      and c.relkind in ('v', 'm')
      and not coalesce(c.reloptions && array['security_invoker=true', 'security_invoker=on'], false)
  $$,
  'Every view in public, if there is one, is a security_invoker view.'
);

select * from finish();
rollback;
