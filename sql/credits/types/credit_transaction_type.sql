-- credit_transaction_type: why a balance moved.
--
-- The sign belongs to the type (verify_ledger proves it): purchase, signup_bonus, monthly_bonus,
-- bonus, refund and clawback_reversal add; consumption, clawback and expiration take; admin_adjustment
-- does either. consumption and refund move used_credits, every other type moves total_credits.

create type public.credit_transaction_type as enum (
  'purchase',
  'signup_bonus',
  'monthly_bonus',
  'bonus',
  'consumption',
  'refund',
  'clawback',
  'clawback_reversal',
  'expiration',
  'admin_adjustment'
);

comment on type public.credit_transaction_type is
  'Why a balance moved. refund gives a consumption back; clawback is the store taking its money back.';

revoke all on type public.credit_transaction_type from public, anon, authenticated, service_role;
grant usage on type public.credit_transaction_type to authenticated, service_role;
