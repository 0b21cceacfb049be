-- preflight: what a database must be before it can have credits. Also run by `credits-db push`, which names nothing here:
-- its plan looks at what is in the way.
do $preflight$
declare
  v_taken text;
  v_ours constant text[] := '{<names>}';
begin
  if to_regprocedure('auth.uid()') is null or 5 <> (
    select count(*)
    from pg_catalog.pg_attribute as a
    where a.attrelid = to_regclass('auth.users')
      and (a.attname, a.atttypid) in (
        ('id', 'uuid'::regtype), ('is_anonymous', 'boolean'::regtype), ('deleted_at', 'timestamptz'::regtype),
        ('email', 'text'::regtype), ('email', 'varchar'::regtype), ('phone', 'text'::regtype), ('phone', 'varchar'::regtype)
      )
  ) then
    raise exception using
      errcode = '55000',
      message = 'Here is no table auth.users (id uuid, email text, phone text, is_anonymous boolean, deleted_at timestamptz) or no function auth.uid(), which Supabase has. Where there is no schema auth, credits-db push makes them.';
  end if;
  if 3 <> (select count(*) from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role')) then
    raise exception using
      errcode = '55000',
      message = 'The roles anon, authenticated and service_role are missing: this is no Supabase database. Where there is no schema auth, credits-db push makes them.';
  end if;
  if exists (select from pg_catalog.pg_tables where schemaname = 'credits_private' and tablename = 'migrations') then
    if exists (select from credits_private.migrations as m where m.id = '<id>') then
      return;
    end if;
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
      message = format('There is already %s, and it is not credits-db''s. credits-db push --plan shows what can be taken over.', v_taken);
  end if;
end;
$preflight$;

