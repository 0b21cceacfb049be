-- refund_purchase: a service says that money of a purchase went back, all of it or some credits' worth.
--
-- For stores that send no events. What was spent already becomes a debt, which the next grant pays first.

create or replace function public.refund_purchase(
  store text,
  transaction_id text,
  refund_id text,
  credits bigint default null,
  environment text default 'PRODUCTION'
)
  returns public.purchase_transactions
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.refund_purchase(store, transaction_id, refund_id, credits, environment);
end;
$$;

comment on function public.refund_purchase(text, text, text, bigint, text) is
  'Take back the credits of a purchase: credits, or all of it for null, never more than it was worth. refund_id: the refund''s own name; again it changes nothing. Returns the purchase. Raises PT404 transaction_not_found, PT410 account_closed, PT422 idempotency_key_reused, 22023 invalid_argument or invalid_amount.';

revoke all on function public.refund_purchase(text, text, text, bigint, text) from public, anon, authenticated, service_role;
grant execute on function public.refund_purchase(text, text, text, bigint, text) to service_role;
