-- auth.email: the claim email of the request, as PostgREST sets it.

create or replace function auth.email()
  returns text
  language sql
  stable
  set search_path = ''
as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.email', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'email'
  );
$$;

comment on function auth.email() is
  'The address of the request''s user, or null.';

revoke all on function auth.email() from public, anon, authenticated, service_role;
grant execute on function auth.email() to anon, authenticated, service_role;
