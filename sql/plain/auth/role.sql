-- auth.role: the claim role of the request, as PostgREST sets it.

create or replace function auth.role()
  returns text
  language sql
  stable
  set search_path = ''
as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'role'
  );
$$;

comment on function auth.role() is
  'The role of the request, or null.';

revoke all on function auth.role() from public, anon, authenticated, service_role;
grant execute on function auth.role() to anon, authenticated, service_role;
