-- auth.users: one row a user of the application.
--
-- The columns of Supabase's table that credits-db reads or an application is likely to fill. The service
-- that knows the users inserts and deletes them here; accounts open and go by themselves.

create table if not exists auth.users (
  id uuid primary key default gen_random_uuid(),
  email text,
  phone text,
  raw_app_meta_data jsonb,
  raw_user_meta_data jsonb,
  is_anonymous boolean not null default false,
  email_confirmed_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
);

comment on table auth.users is
  'One row a user of the application, with the columns of Supabase that matter here.';
comment on column auth.users.id is
  'The user, the sub of their tokens.';
comment on column auth.users.email is
  'Their address, null for anonymous users and those who sign in by phone.';
comment on column auth.users.phone is
  'Their phone number, or null.';
comment on column auth.users.raw_app_meta_data is
  'What the application notes about them.';
comment on column auth.users.raw_user_meta_data is
  'What they say about themselves; credits-db does not read it.';
comment on column auth.users.is_anonymous is
  'True until an anonymous user converts.';
comment on column auth.users.email_confirmed_at is
  'When the address was confirmed, or null.';
comment on column auth.users.created_at is
  'When they signed up.';
comment on column auth.users.updated_at is
  'When the application last changed the row.';
comment on column auth.users.deleted_at is
  'When they were soft-deleted, or null.';

revoke all on table auth.users from public, anon, authenticated, service_role;
grant select, insert, update, delete on table auth.users to service_role;
