-- auth.uid: the claim sub of the request, as PostgREST sets it.

create or replace function auth.uid()
  returns uuid
  language sql
  stable
  set search_path = ''
as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'sub'
  )::pg_catalog.uuid;
$$;

comment on function auth.uid() is
  'The user of the request, or null. A sub that is no uuid is a cast error, as on Supabase.';

revoke all on function auth.uid() from public, anon, authenticated, service_role;
grant execute on function auth.uid() to anon, authenticated, service_role;
