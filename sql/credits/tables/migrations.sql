-- migrations: which migrations this database has, and with which text.
--
-- Written in the transaction of the migration itself, by credits-db push or by the exported file, so a row is
-- there if and only if its migration is. The checksum is what tells an edited file from the one that was applied.

create table credits_private.migrations (
  id text primary key,
  sha256 text not null,
  applied_at timestamptz not null default clock_timestamp(),
  applied_by text not null default session_user
);

comment on table credits_private.migrations is
  'The migrations that this database has, one row each, written in the transaction of the migration.';
comment on column credits_private.migrations.id is
  'The name of the file without its ending.';
comment on column credits_private.migrations.sha256 is
  'SHA-256 of the file as it was applied, in hex.';
comment on column credits_private.migrations.applied_at is
  'When it was applied.';
comment on column credits_private.migrations.applied_by is
  'The role that was logged in.';

revoke all on table credits_private.migrations from public, anon, authenticated, service_role;
