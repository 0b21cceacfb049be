-- schedule_maintenance: has pg_cron call run_maintenance every minute, where pg_cron is.
--
-- Called by a migration and by every push, so that it also happens when pg_cron comes later. A job of this name
-- that is there already stays as it is: an operator may have changed it. Where there is no pg_cron it does nothing;
-- nothing depends on it. Call it in a transaction that does little else, or pg_cron may not hear of the job.

create or replace function credits_private.schedule_maintenance()
  returns text
  language plpgsql
  volatile
  set search_path = ''
as $$
-- @plpgsql_check_options: performance_warnings = off
declare
  v_name constant pg_catalog.text := 'credits-db maintenance';
  v_is_there boolean;
  v_schema pg_catalog.name;
begin
  if not exists (select from pg_catalog.pg_extension as e where e.extname = 'pg_cron') then
    return null;
  end if;
  select n.nspname into v_schema from pg_catalog.pg_namespace as n where n.nspname = 'cron';
  execute format('select exists (select from %I.job where jobname = $1)', v_schema) into v_is_there using v_name;
  if v_is_there then
    return null;
  end if;
  -- Its launcher looks once a second, and when the news of 4096 changes to the catalogue are waiting for it, as after
  -- the migrations, it takes none of them: github.com/citusdata/pg_cron/pull/406.
  perform pg_sleep(2);
  execute format('select %I.schedule($1, $2, $3)', v_schema) using v_name, '* * * * *', 'select public.run_maintenance()';
  return 'Maintenance is scheduled: pg_cron calls run_maintenance every minute.';
exception
  when insufficient_privilege or undefined_table or undefined_function or invalid_schema_name then
    return 'Maintenance is not scheduled: ' || sqlerrm || '. Run credits-db maintain from time to time.';
end;
$$;

comment on function credits_private.schedule_maintenance() is
  'Schedules run_maintenance with pg_cron where that is installed. What it did, in a sentence, or null where there was nothing to do.';

revoke all on function credits_private.schedule_maintenance() from public, anon, authenticated, service_role;
