-- Every function fixes where names are looked up, so that nobody who calls it can put something of theirs in
-- the way. What that is worth is shown by the files about mischief and temporary types.

begin;
select plan(3);

select is_empty(
  $$
    select p.oid::regprocedure, p.proconfig
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and not coalesce(p.proconfig && array['search_path=""', 'search_path=pg_catalog, pg_temp'], false)
  $$,
  'Every function looks names up in no schema, or in that of Postgres alone.'
);
select is_empty(
  $$
    select p.oid::regprocedure, p.proconfig
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and cardinality(p.proconfig) <> 1
  $$,
  'No function sets anything else, which each call would pay for.'
);
select is_empty(
  $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and (p.proleakproof or p.prosrc ~* '\m(set_config|session_user|pg_sleep|dblink|notify)\M|current_setting\(''role''')
  $$,
  'No function sets a setting, asks who is logged in, waits, or calls out.'
);

select * from finish();
rollback;
