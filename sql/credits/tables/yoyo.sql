-- The tables of yoyo, version 2, so that `yoyo list` agrees with credits-db status.
--
-- record_migration writes a row of _yoyo_migration and of _yoyo_log beside its own; yoyo_lock stays empty, because
-- push uses an advisory lock that cannot be left behind. Names are yoyo's, and so are instants without a time zone.

create table credits_private._yoyo_migration (
  migration_hash text primary key,
  migration_id text,
  -- squawk-ignore prefer-timestamp-tz
  applied_at_utc timestamp
);

create table credits_private._yoyo_log (
  id text primary key,
  migration_hash text,
  migration_id text,
  operation text,
  username text,
  hostname text,
  comment text,
  -- squawk-ignore prefer-timestamp-tz
  created_at_utc timestamp
);

create table credits_private._yoyo_version (
  version bigint primary key,
  -- squawk-ignore prefer-timestamp-tz
  installed_at_utc timestamp
);

create table credits_private.yoyo_lock (
  locked bigint primary key default 1,
  -- squawk-ignore prefer-timestamp-tz
  ctime timestamp,
  pid bigint not null
);

insert into credits_private._yoyo_version (version, installed_at_utc)
values (2, timezone('utc', now()));

comment on table credits_private._yoyo_migration is
  'What yoyo takes for applied; written by record_migration.';
comment on table credits_private._yoyo_log is
  'The log of yoyo; written by record_migration.';
comment on table credits_private._yoyo_version is
  'The version of yoyo''s own tables.';
comment on table credits_private.yoyo_lock is
  'The lock of yoyo; credits-db push does not use it.';

revoke all on table
  credits_private._yoyo_migration,
  credits_private._yoyo_log,
  credits_private._yoyo_version,
  credits_private.yoyo_lock
from public, anon, authenticated, service_role;
