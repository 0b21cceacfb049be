-- A SECURITY DEFINER function acts as its owner. All of them belong to whoever owns the private schema, like
-- the tables, and no API role owns anything.

begin;
select plan(5);

select ok(
  exists (
    select from pg_catalog.pg_proc as p where p.pronamespace = 'credits_private'::regnamespace and p.prosecdef
  ),
  'There are such functions.'
);
select is_empty(
  $$
    select p.oid::regprocedure, p.proowner::regrole
    from pg_catalog.pg_proc as p
    join pg_catalog.pg_namespace as n on n.nspname = 'credits_private'
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and p.proowner <> n.nspowner
  $$,
  'Every function belongs to the owner of the private schema.'
);
select is_empty(
  $$
    select c.oid::regclass, c.relowner::regrole
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.nspname = 'credits_private'
    where c.relnamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and c.relowner <> n.nspowner
  $$,
  'Every table belongs to the same owner.'
);
select is_empty(
  $$
    select n.nspowner::regrole
    from pg_catalog.pg_namespace as n
    where n.nspname = 'credits_private'
      and n.nspowner::regrole::text in ('anon', 'authenticated', 'service_role', 'authenticator')
  $$,
  'The owner is no role that a request can have.'
);
select is_empty(
  $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p
    where p.pronamespace = 'public'::regnamespace
      and p.prosecdef
      and (has_function_privilege('anon', p.oid, 'EXECUTE') or has_function_privilege('authenticated', p.oid, 'EXECUTE'))
  $$,
  'What users call in public has no more rights than they have; its body in the private schema does.'
);

select * from finish();
rollback;
