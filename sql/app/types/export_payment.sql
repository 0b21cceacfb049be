-- export_payment: what an export was paid with.

create type public.export_payment as enum (
  'credits',
  'entitlement'
);

comment on type public.export_payment is
  'What an export was paid with: credits (one, the ledger row is seq) or an entitlement that includes it.';

revoke all on type public.export_payment from public, anon, authenticated, service_role;
grant usage on type public.export_payment to authenticated, service_role;
