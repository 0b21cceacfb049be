-- preflight: what a database must be before it can have credits. Also run by `credits-db push`.
do $preflight$
declare
  v_taken text;
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
  select string_agg(format('%I.%I', t.schemaname, t.tablename), ', ' order by t.tablename)
  into v_taken
  from pg_catalog.pg_tables as t
  where t.schemaname = 'public' and t.tablename in ('user_credits', 'credit_transactions');
  if v_taken is not null and not exists (
    select from pg_catalog.pg_tables where schemaname = 'credits_private' and tablename = 'migrations'
  ) then
    raise exception using
      errcode = '55000',
      message = format('There is a table %s already, and it is not credits-db''s: rename it first.', v_taken);
  end if;
end;
$preflight$;

