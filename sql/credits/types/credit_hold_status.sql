-- credit_hold_status: where a hold stands. Only an active one can move, once, to one of the others.

create type public.credit_hold_status as enum (
  'active',
  'captured',
  'released',
  'expired'
);

comment on type public.credit_hold_status is
  'Where a hold stands: active (credits set aside), captured (spent, whole or in part), released (given back), expired (given back by time).';

revoke all on type public.credit_hold_status from public, anon, authenticated, service_role;
grant usage on type public.credit_hold_status to authenticated, service_role;
