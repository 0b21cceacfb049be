-- What is in the database says what it is for, also to somebody who has nothing but the database: schemas,
-- tables, columns, types and their fields, functions, triggers.

begin;
select plan(6);

-- schemas that are ours; auth is where credits-db push made it
create temp table ours as
select n.oid, n.nspname as name
from pg_catalog.pg_namespace as n
where n.nspname in ('public', 'credits_private')
  or (n.nspname = 'auth' and obj_description(n.oid, 'pg_namespace') like 'Made by credits-db%');

select is_empty(
  $$
    select name
    from ours
    where coalesce(obj_description(oid, 'pg_namespace'), '') = '' and name <> 'public'
  $$,
  'Every schema has a comment.'
);
select is_empty(
  $$
    select c.oid::regclass
    from pg_catalog.pg_class as c
    join ours on ours.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and coalesce(obj_description(c.oid, 'pg_class'), '') = ''
  $$,
  'Every table has a comment.'
);
select is_empty(
  $$
    select c.oid::regclass, a.attname
    from pg_catalog.pg_attribute as a
    join pg_catalog.pg_class as c on c.oid = a.attrelid
    join ours on ours.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f', 'c')
      and a.attnum > 0
      and not a.attisdropped
      and coalesce(col_description(c.oid, a.attnum), '') = ''
      -- tables whose columns are yoyo's to explain
      and c.relname !~ '^(_yoyo_|yoyo_)'
  $$,
  'Every column and every field of a type has a comment.'
);
select is_empty(
  $$
    select t.oid::regtype
    from pg_catalog.pg_type as t
    join ours on ours.oid = t.typnamespace
    left join pg_catalog.pg_class as c on c.oid = t.typrelid
    where t.typcategory <> 'A'
      and coalesce(c.relkind, 'c') = 'c'
      and coalesce(obj_description(t.oid, 'pg_type'), '') = ''
  $$,
  'Every type has a comment.'
);
select is_empty(
  $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p
    join ours on ours.oid = p.pronamespace
    where coalesce(obj_description(p.oid, 'pg_proc'), '') = ''
  $$,
  'Every function has a comment.'
);
select is_empty(
  $$
    select t.tgname
    from pg_catalog.pg_trigger as t
    join pg_catalog.pg_class as c on c.oid = t.tgrelid
    join ours on ours.oid = c.relnamespace
    -- on Supabase the owner of auth.users alone could comment on a trigger there
    where not t.tgisinternal and ours.name <> 'auth' and coalesce(obj_description(t.oid, 'pg_trigger'), '') = ''
  $$,
  'Every trigger has a comment.'
);

select * from finish();
rollback;
