-- auth: whose users these are and who is asking, in the words of Supabase.

create schema if not exists auth;

comment on schema auth is
  'Made by credits-db: users and the identity of a request, as on Supabase. The application fills auth.users.';

revoke all on schema auth from public, anon, authenticated, service_role;
grant usage on schema auth to anon, authenticated, service_role;
