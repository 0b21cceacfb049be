-- The API roles, as PostgREST and Supabase know them.
--
-- anon, authenticated and service_role cannot log in; authenticator can (once it has a password) and
-- becomes one of them for each request. Roles belong to the whole cluster, so what is there already is left
-- as it is, and two databases that do this at once do not fail each other. Timeouts stand on authenticator,
-- because settings of a role count only at log-in.

do $$
declare
  v_role text;
  v_bypass boolean := (
    select r.rolsuper or r.rolbypassrls and current_setting('server_version_num')::int >= 160000
    from pg_catalog.pg_roles as r
    where r.rolname = current_user
  );
begin
  foreach v_role in array array['anon', 'authenticated', 'service_role', 'authenticator'] loop
    if not exists (select from pg_catalog.pg_roles as r where r.rolname = v_role) then
      begin
        execute format('create role %I with %s', v_role, case v_role
          when 'authenticator' then 'login noinherit'
          when 'service_role' then case when v_bypass then 'nologin bypassrls' else 'nologin' end
          else 'nologin'
        end);
        execute format('comment on role %I is %L', v_role, 'Made by credits-db: an API role as on Supabase.');
        if v_role = 'authenticator' then
          alter role authenticator set statement_timeout = '8s';
          alter role authenticator set lock_timeout = '8s';
          alter role authenticator set client_connection_check_interval = '1s';
        end if;
      exception
        when duplicate_object or unique_violation then
          null;
      end;
    end if;
  end loop;

  foreach v_role in array array['anon', 'authenticated', 'service_role'] loop
    begin
      if not exists (
        select
        from pg_catalog.pg_auth_members as m
        where m.roleid = v_role::regrole and m.member = 'authenticator'::regrole
      ) then
        execute format('grant %I to authenticator', v_role);
      end if;
      -- whoever migrates acts as a user in tests and in the demo; a superuser may anyway
      if not pg_has_role(v_role, case when current_setting('server_version_num')::int < 160000 then 'member' else 'set' end) then
        execute format('grant %I to current_user', v_role);
      end if;
    exception
      -- somebody else did the same at this moment, or made these roles and keeps them
      when unique_violation or internal_error or insufficient_privilege then
        null;
    end;
  end loop;
end;
$$;

-- some take it from PUBLIC; without it no role gets to the doors
grant usage on schema public to anon, authenticated, service_role;
