-- Makes an empty database (Postgres 15 to 18) look like hosted Supabase to whoever installs there.
-- Run it as a superuser, as one string or with psql -f; a second run changes nothing. Then connect
-- as the admin role: what `postgres` is on Supabase, no superuser, owner of the database.
-- Knobs, set before the run (PGOPTIONS, or set_config in the session):
--   supabase_like.admin_role: default postgres, or supabase_postgres where postgres is a superuser;
--     after the run, `show` in the same session tells which
--   supabase_like.auto_expose: on (default) or off; on opens new objects in public to API roles
-- Stricter than Supabase: no DROP TRIGGER or CREATE POLICY on auth.users, no event triggers, only
-- trusted extensions. Laxer: no pg-safeupdate; policy DDL does not lock auth.users; reserved roles
-- can be altered (on 15 all, from 16 on the API roles). Logins have no password.

-- who runs this, and for which admin role
do $$
declare
  v_admin text := coalesce(
    nullif(current_setting('supabase_like.admin_role', true), ''),
    (select 'supabase_postgres' from pg_roles where rolname = 'postgres' and rolsuper),
    'postgres'
  );
begin
  if not (select rolsuper from pg_roles where rolname = current_user) then
    raise exception 'run this as a superuser, not as %', current_user;
  elsif exists (select from pg_roles where rolname = v_admin and rolsuper) then
    raise exception 'supabase_like.admin_role must not be a superuser, as % is', v_admin;
  end if;
  perform set_config('supabase_like.admin_role', v_admin, false);
end $$;

-- roles belong to the cluster: change only what differs, try again if another run was faster
do $$
declare
  v_admin constant text := current_setting('supabase_like.admin_role');
  v_16 constant boolean := current_setting('server_version_num')::integer >= 160000;
  -- in the order of the array of pg_roles columns below
  v_flags constant text[] :=
    '{superuser,createdb,createrole,replication,bypassrls,login,inherit}';
  v_statement text;
begin
  for v_attempt in 1..10 loop
    begin
      for v_statement in
        with wanted (role, flags) as (
          values
            ('anon', '{inherit}'::text[]),
            ('authenticated', '{inherit}'),
            ('service_role', '{inherit,bypassrls}'),
            ('authenticator', '{login}'),
            ('supabase_admin', v_flags),
            (v_admin, array_remove(v_flags, 'superuser')),
            ('supabase_auth_admin', '{login}'),
            ('supabase_storage_admin', '{login}'),
            ('supabase_realtime_admin', '{}'),
            ('supabase_replication_admin', '{login,inherit,replication}'),
            ('supabase_etl_admin', '{login,inherit,replication}'),
            ('supabase_read_only_user', '{login,inherit,bypassrls}'),
            ('supabase_privileged_role', '{inherit}'),
            ('dashboard_user', '{inherit,createdb,createrole,replication}'),
            ('pgbouncer', '{login,inherit}')
        )
        select format('%s role %I', case when rolname is null then 'create' else 'alter' end, role)
          || (select string_agg(case when f = any (flags) then ' ' else ' no' end || f, '')
              from unnest(v_flags) f)
        from wanted
        left join pg_roles on rolname = role
        where (select array_agg(f = any (flags) order by n)
               from unnest(v_flags) with ordinality u (f, n))
          is distinct from array[rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,
            rolcanlogin, rolinherit]
      loop
        execute v_statement;
      end loop;

      for v_statement in
        with wanted (role, member, admin) as (
          select role, member, v_16 and member = v_admin
          from unnest('{anon,authenticated,service_role}'::text[]) role,
            unnest(array[v_admin, 'authenticator']) member
          union all values
            ('pg_monitor', v_admin, false), ('pg_read_all_data', v_admin, false),
            ('pg_signal_backend', v_admin, false), ('supabase_privileged_role', v_admin, false),
            ('authenticator', 'supabase_storage_admin', false),
            ('pg_read_all_data', 'supabase_read_only_user', false)
        )
        select format(
          case when v_16 then 'grant %I to %I with admin %s, inherit %s, set true'
          else 'grant %I to %I' end, role, member, admin::text, rolinherit::text
        )
        from wanted
        join pg_roles u on rolname = member
        where not exists (
          select
          from pg_auth_members m
          where (m.roleid, m.member) = (quote_ident(role)::regrole, u.oid)
            and m.admin_option >= admin
            -- two columns that 15 does not have
            and coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)
            and coalesce((to_jsonb(m) ->> 'inherit_option')::boolean = rolinherit, true)
        )
        union all
        select format('grant set on parameter %I to %I', parameter, v_admin)
        from unnest(
          '{session_replication_role,log_min_messages,log_lock_waits,track_io_timing}'::text[]
        ) parameter
        where not has_parameter_privilege(v_admin, parameter, 'set')
      loop
        execute v_statement;
      end loop;
      exit;
    exception
      when duplicate_object or unique_violation or deadlock_detected or internal_error then
        if v_attempt = 10 or (sqlstate = 'XX000' and sqlerrm not like 'tuple concurrently %') then
          raise;
        end if;
    end;
  end loop;
end $$;

-- schemas
create schema if not exists auth authorization supabase_admin;
create schema if not exists storage authorization supabase_admin;
create schema if not exists realtime authorization supabase_admin;
create schema if not exists extensions;

-- owners, grants, default privileges; settings of roles, for this database alone
do $$
declare
  v_admin constant text := current_setting('supabase_like.admin_role');
  v_expose constant boolean :=
    coalesce(nullif(current_setting('supabase_like.auto_expose', true), ''), 'on');
  v_statement text;
begin
  execute format($sql$
    alter database %1$I owner to %2$I;
    alter schema extensions owner to %2$I;
    grant usage on schema public, auth to %2$I;
    grant usage on schema storage, realtime to %2$I with grant option;
    grant usage on schema public, extensions, auth, storage, realtime
      to anon, authenticated, service_role;
    grant all on schema extensions to dashboard_user;
    grant all on schema auth to supabase_auth_admin, dashboard_user;
    grant all on schema storage to supabase_storage_admin, dashboard_user;
    grant all on schema realtime to supabase_realtime_admin;

    alter role %2$I in database %1$I set search_path to '\$user', public, extensions;
    alter role anon in database %1$I set statement_timeout to '3s';
    alter role authenticated in database %1$I set statement_timeout to '8s';
    alter role authenticator in database %1$I set statement_timeout to '8s';
    alter role authenticator in database %1$I set lock_timeout to '8s';
    alter role supabase_auth_admin in database %1$I set search_path to auth;
    alter role supabase_auth_admin in database %1$I
      set idle_in_transaction_session_timeout to '60s';
    alter role supabase_storage_admin in database %1$I set search_path to storage;
  $sql$, current_database(), v_admin);

  for v_statement in
    select format(
      'alter default privileges for role %I in schema %s grant all on %s to ' || grantees,
      owner, schema, kind, v_admin
    )
    from unnest('{tables,sequences,functions}'::text[]) kind,
      (values
        (v_admin, 'public', '%I, anon, authenticated, service_role'),
        ('supabase_admin', 'public', '%I, anon, authenticated, service_role'),
        ('supabase_admin', 'extensions', '%I with grant option'),
        ('supabase_auth_admin', 'auth', '%I, dashboard_user')
      ) defaults (owner, schema, grantees)
  loop
    execute v_statement;
  end loop;

  -- opting out takes this and no more: truncate, setval and what PUBLIC may execute stay
  if not v_expose then
    execute format($sql$
      alter default privileges for role %1$I in schema public
        revoke select, insert, update, delete on tables from anon, authenticated, service_role;
      alter default privileges for role %1$I in schema public
        revoke usage, select on sequences from anon, authenticated, service_role;
      alter default privileges for role %1$I in schema public
        revoke execute on functions from anon, authenticated, service_role;
    $sql$, v_admin);
  end if;
end $$;

-- auth: users in full, the other tables reduced
set role supabase_auth_admin;

create table if not exists auth.users (
  instance_id uuid,
  id uuid primary key,
  aud varchar(255), role varchar(255), email varchar(255), encrypted_password varchar(255),
  email_confirmed_at timestamptz, invited_at timestamptz,
  confirmation_token varchar(255), confirmation_sent_at timestamptz,
  recovery_token varchar(255), recovery_sent_at timestamptz,
  email_change_token_new varchar(255), email_change varchar(255),
  email_change_sent_at timestamptz, last_sign_in_at timestamptz,
  raw_app_meta_data jsonb, raw_user_meta_data jsonb,
  is_super_admin boolean,
  created_at timestamptz, updated_at timestamptz,
  phone text unique, phone_confirmed_at timestamptz, phone_change text default '',
  phone_change_token varchar(255) default '', phone_change_sent_at timestamptz,
  confirmed_at timestamptz
    generated always as (least(email_confirmed_at, phone_confirmed_at)) stored,
  email_change_token_current varchar(255) default '',
  email_change_confirm_status smallint default 0
    check (email_change_confirm_status between 0 and 2),
  banned_until timestamptz,
  reauthentication_token varchar(255) default '', reauthentication_sent_at timestamptz,
  is_sso_user boolean not null default false,
  deleted_at timestamptz,
  is_anonymous boolean not null default false
);
create unique index if not exists users_email_partial_key
  on auth.users (email) where is_sso_user = false;
create index if not exists users_instance_id_email_idx on auth.users (instance_id, lower(email));
create index if not exists users_is_anonymous_idx on auth.users (is_anonymous);

create table if not exists auth.identities (
  id uuid primary key default gen_random_uuid(),
  provider_id text not null, provider text not null,
  user_id uuid not null references auth.users (id) on delete cascade,
  identity_data jsonb not null,
  unique (provider_id, provider)
);
create table if not exists auth.sessions (
  id uuid primary key,
  user_id uuid not null references auth.users (id) on delete cascade
);
create table if not exists auth.refresh_tokens (
  id bigserial primary key,
  token varchar(255) unique,
  user_id varchar(255),
  session_id uuid references auth.sessions (id) on delete cascade
);
create table if not exists auth.audit_log_entries (
  id uuid primary key,
  payload json,
  created_at timestamptz
);

-- the caller's claims; the older form, one setting for each claim, wins where it is set
create or replace function auth.uid() returns uuid language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
$$;
create or replace function auth.role() returns text language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim.role', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
$$;
create or replace function auth.email() returns text language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim.email', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email')
$$;
create or replace function auth.jwt() returns jsonb language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), ''))::jsonb
$$;

-- storage: two tables, from which plain SQL may not delete
set role supabase_storage_admin;

create table if not exists storage.buckets (
  id text primary key,
  name text not null unique,
  owner uuid, owner_id text,
  public boolean default false
);
create table if not exists storage.objects (
  id uuid primary key default gen_random_uuid(),
  bucket_id text references storage.buckets (id),
  name text,
  owner uuid, owner_id text,
  metadata jsonb,
  unique (bucket_id, name)
);
grant all on storage.buckets, storage.objects to anon, authenticated, service_role;

create or replace function storage.protect_delete() returns trigger language plpgsql as $$
begin
  if current_setting('storage.allow_delete_query', true) is distinct from 'true' then
    raise insufficient_privilege using message =
      'Direct deletion from storage tables is not allowed. Use the Storage API instead.';
  end if;
  return null;
end $$;
create or replace trigger protect_buckets_delete before delete on storage.buckets
  for each statement execute function storage.protect_delete();
create or replace trigger protect_objects_delete before delete on storage.objects
  for each statement execute function storage.protect_delete();

-- event triggers: PostgREST reloads its schema cache after DDL
set role supabase_admin;

create or replace function extensions.pgrst_ddl_watch() returns event_trigger
  language plpgsql as $$
begin
  if exists (
    select
    from pg_event_trigger_ddl_commands()
    where schema_name is distinct from 'pg_temp' and command_tag ~
      ('^(COMMENT|SELECT INTO|CREATE TABLE AS|CREATE TRIGGER|CREATE RULE|(CREATE|ALTER) '
       '(SCHEMA|TABLE|FOREIGN TABLE|VIEW|MATERIALIZED VIEW|FUNCTION|TYPE))$')
  ) then
    notify pgrst, 'reload schema';
  end if;
end $$;
create or replace function extensions.pgrst_drop_watch() returns event_trigger
  language plpgsql as $$
begin
  if exists (
    select
    from pg_event_trigger_dropped_objects()
    where not is_temporary and object_type ~
      '^(schema|table|foreign table|view|materialized view|function|trigger|type|rule)$'
  ) then
    notify pgrst, 'reload schema';
  end if;
end $$;

-- publication (empty; its warning about wal_level is harmless), extensions, row security
do $$
declare
  v_admin constant text := current_setting('supabase_like.admin_role');
  v_name text;
  v_privileges text;
begin
  if not exists (select from pg_event_trigger where evtname = 'pgrst_ddl_watch') then
    create event trigger pgrst_ddl_watch on ddl_command_end
      execute function extensions.pgrst_ddl_watch();
    create event trigger pgrst_drop_watch on sql_drop
      execute function extensions.pgrst_drop_watch();
    create publication supabase_realtime;
  end if;
  execute format('alter publication supabase_realtime owner to %I', v_admin);

  for v_name in
    select name from pg_available_extensions where name in ('pgcrypto', 'uuid-ossp')
  loop
    execute format('create extension if not exists %I schema extensions', v_name);
  end loop;

  -- no table has a policy: whoever lacks bypassrls sees no row
  for v_name, v_privileges in
    select format('%I.%I', nspname, relname), case nspname when 'auth' then 'select' else 'all' end
    from pg_class
    join pg_namespace n on n.oid = relnamespace
    where relkind = 'r' and nspname in ('auth', 'storage')
  loop
    execute format('alter table %s enable row level security', v_name);
    execute format('grant %s on %s to %I with grant option', v_privileges, v_name, v_admin);
  end loop;
end $$;

reset role;
