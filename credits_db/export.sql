-- credits-db <id>, for `supabase db push`.
--
-- Written by `credits-db export`. Do not edit it: a later export refuses to go on.
-- Does nothing where `credits-db push` has applied it, and notes itself so that `credits-db push` knows.

<preflight>do $export$
begin
  perform set_config('lock_timeout', '5s', true);
  perform pg_advisory_xact_lock(hashtextextended('credits_private.migrations', 0));
  if exists (select from pg_catalog.pg_tables where schemaname = 'credits_private' and tablename = 'migrations') then
    if exists (select from credits_private.migrations as m where m.id = '<id>') then
      return;
    end if;
  end if;
  perform set_config('lock_timeout', '1s', true);
  execute replace($migration$
<sql>
$migration$, chr(13), '');
  perform credits_private.record_migration('<id>', '<sha256>', session_user, 'supabase db push');
end;
$export$;
