-- maintenance_report: what one call of run_maintenance did.

create type public.maintenance_report as (
  store_events integer,
  store_events_waiting integer,
  accounts integer,
  expirations integer,
  holds integer,
  grants integer
);

comment on type public.maintenance_report is
  'What one call of run_maintenance did. Nothing done and nothing waiting is the good answer.';
comment on column public.maintenance_report.store_events is
  'Store events that were pending or parked and are no more.';
comment on column public.maintenance_report.store_events_waiting is
  'Store events that were tried and wait on.';
comment on column public.maintenance_report.accounts is
  'Balances for which something had fallen due.';
comment on column public.maintenance_report.expirations is
  'Lots that expired with credits in them: ledger rows written.';
comment on column public.maintenance_report.holds is
  'Holds that expired.';
comment on column public.maintenance_report.grants is
  'Recurring grants that were due: ledger rows written.';

revoke all on type public.maintenance_report from public, anon, authenticated, service_role;
grant usage on type public.maintenance_report to service_role;
