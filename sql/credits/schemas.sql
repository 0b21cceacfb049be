-- credits_private: the house behind the door.
--
-- Users and services meet credits-db in schema public: tables that they may read, RPCs that they may
-- call. Everything else (bodies, helpers, settings, the history of migrations) lives here, in a schema
-- that PostgREST must never expose. Usage lets the doors in public that run as their caller (those of
-- users, the webhooks) reach their bodies; it opens nothing by itself, since every object in here is granted by name or
-- not at all.

create schema if not exists credits_private;

comment on schema credits_private is
  'Bodies, helpers and settings of credits-db. Not an API: never expose it through PostgREST.';

revoke all on schema credits_private from public, anon, authenticated, service_role;
grant usage on schema credits_private to anon, authenticated;
