-- maintenance_report: what one call of run_maintenance did.

create type public.maintenance_report as (
  store_events integer,
  store_events_waiting integer
);

comment on type public.maintenance_report is
  'What one call of run_maintenance did. Nothing done and nothing waiting is the good answer.';
comment on column public.maintenance_report.store_events is
  'Store events that were pending or parked and are no more.';
comment on column public.maintenance_report.store_events_waiting is
  'Store events that were tried and wait on.';

revoke all on type public.maintenance_report from public, anon, authenticated, service_role;
grant usage on type public.maintenance_report to service_role;
