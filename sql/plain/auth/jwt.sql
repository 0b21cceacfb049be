-- auth.jwt: the claims of the request, as PostgREST sets them.

create or replace function auth.jwt()
  returns jsonb
  language sql
  stable
  set search_path = ''
as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')
  )::pg_catalog.jsonb;
$$;

comment on function auth.jwt() is
  'The claims of the request as JSON, or null.';

revoke all on function auth.jwt() from public, anon, authenticated, service_role;
grant execute on function auth.jwt() to anon, authenticated, service_role;
