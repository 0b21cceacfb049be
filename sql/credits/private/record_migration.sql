-- record_migration: notes that a migration was applied, for us and for yoyo.
--
-- Called by credits-db push and by exported files, as the last statement of the migration's own transaction.

create or replace function credits_private.record_migration(
  p_id text,
  p_sha256 text,
  p_user text,
  p_host text
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_hash pg_catalog.text := encode(sha256(convert_to(p_id, 'UTF8')), 'hex');
  v_now pg_catalog.timestamp := timezone('utc', clock_timestamp());
begin
  insert into credits_private.migrations (id, sha256) values (p_id, p_sha256);
  insert into credits_private._yoyo_migration (migration_hash, migration_id, applied_at_utc)
  values (v_hash, p_id, v_now);
  insert into credits_private._yoyo_log (id, migration_hash, migration_id, operation, username, hostname, created_at_utc)
  values (gen_random_uuid()::pg_catalog.text, v_hash, p_id, 'apply', p_user, p_host, v_now);
end;
$$;

comment on function credits_private.record_migration(text, text, text, text) is
  'Notes that a migration was applied: its name, the SHA-256 of its file, and who applied it from where.';

revoke all on function credits_private.record_migration(text, text, text, text) from public, anon, authenticated, service_role;
