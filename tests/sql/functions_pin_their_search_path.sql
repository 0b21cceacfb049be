-- Every function fixes where names are looked up, which is nowhere: it has to say the schema of everything it
-- means, and nobody who calls it can put something of theirs in the way.

begin;
select plan(3);

select is_empty(
  $$
    select p.oid::regprocedure, p.proconfig
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and not coalesce('search_path=""' = any (p.proconfig), false)
  $$,
  'The search path of every function is empty.'
);
select is_empty(
  $$
    select p.oid::regprocedure, p.proconfig
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and cardinality(p.proconfig) <> 1
      and p.oid <> 'credits_private.set_setting(text, text)'::regprocedure  -- no spend waits behind one that waits
  $$,
  'No function sets anything else, which each call would pay for, but the one for operators.'
);
select is_empty(
  $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and p.oid <> 'credits_private.schedule_maintenance()'::regprocedure -- an operator's, who waits for pg_cron once
      and (p.proleakproof or p.prosrc ~* '\m(set_config|session_user|pg_sleep|dblink|notify)\M|current_setting\(''role''')
  $$,
  'No function sets a setting, asks who is logged in, waits, or calls out.'
);

select * from finish();
rollback;
