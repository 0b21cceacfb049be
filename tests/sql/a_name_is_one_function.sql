-- There is one function of each name, so that named arguments always find it: PostgREST answers 300 where it
-- could choose. Arguments that may be left out come last. The webhooks take one json without a name: only so does PostgREST
-- hand over a body as it came.

begin;
select plan(4);

select is_empty(
  $$
    select p.pronamespace::regnamespace, p.proname, count(*)
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
    group by 1, 2
    having count(*) > 1
  $$,
  'No name has two functions.'
);
select is_empty(
  $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and (
        p.prokind <> 'f'
        or p.provariadic <> 0
        or p.proargmodes is not null
        or cardinality(coalesce(p.proargnames, '{}')) <> p.pronargs
      )
      and p.oid not in ('public.revenuecat_webhook(json)'::regprocedure, 'public.stripe_webhook(json)'::regprocedure)
  $$,
  'Every argument has a name and goes in, but for the bodies of webhooks; there are no procedures and no lists of arguments.'
);
select results_eq(
  $$
    select p.oid::regprocedure::text, p.proargnames is null, p.proargmodes is null, p.pronargdefaults = 0, p.prokind = 'f'
    from pg_catalog.pg_proc as p
    where p.pronamespace = 'public'::regnamespace and p.proname like '%webhook%'
    order by 1
  $$,
  $$
    values
      ('revenuecat_webhook(json)', true, true, true, true),
      ('stripe_webhook(json)', true, true, true, true)
  $$,
  'A webhook takes one json, which has no name.'

);
select is_empty(
  $$
    select p.oid::regprocedure, p.prorettype::regtype
    from pg_catalog.pg_proc as p
    where p.pronamespace = 'public'::regnamespace
      and p.prorettype in ('void'::regtype, 'record'::regtype)
  $$,
  'Every call answers with something that has a name.'
);

select * from finish();
rollback;
