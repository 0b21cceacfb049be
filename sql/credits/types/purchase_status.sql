-- purchase_status: how far a purchase has come.
--
-- Not set by whichever event arrived last, but folded from all that is known of the purchase
-- (settle_transaction): paid beats failed, failed beats pending, and refunded is paid with all of it taken back.

create type public.purchase_status as enum (
  'pending',
  'completed',
  'failed',
  'refunded'
);

comment on type public.purchase_status is
  'pending: not paid yet. completed: paid and credited, perhaps refunded in part. failed: never paid. refunded: all of it went back.';

revoke all on type public.purchase_status from public, anon, authenticated, service_role;
grant usage on type public.purchase_status to authenticated, service_role;
