-- The tables of yoyo, version 2, so that `yoyo list` agrees with credits-db status.
--
-- record_migration writes a row of _yoyo_migration and of _yoyo_log beside its own; yoyo_lock stays empty, because
-- push uses an advisory lock that cannot be left behind. Names and types are yoyo's.

create table credits_private._yoyo_migration (
  migration_hash varchar(64) primary key,
  migration_id varchar(255),
  applied_at_utc timestamp
);

create table credits_private._yoyo_log (
  id varchar(36) primary key,
  migration_hash varchar(64),
  migration_id varchar(255),
  operation varchar(10),
  username varchar(255),
  hostname varchar(255),
  comment varchar(255),
  created_at_utc timestamp
);

create table credits_private._yoyo_version (
  version integer primary key,
  installed_at_utc timestamp
);

create table credits_private.yoyo_lock (
  locked integer primary key default 1,
  ctime timestamp,
  pid integer not null
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
