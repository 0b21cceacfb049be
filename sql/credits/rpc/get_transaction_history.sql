-- get_transaction_history: the signed-in user's ledger, newest first, in pages.
--
-- The next page begins before the last seq of this one. Pages neither overlap nor skip, whatever is posted
-- between two calls.

create or replace function credits_private.get_transaction_history(
  p_page_size integer,
  p_before_seq bigint,
  p_type public.credit_transaction_type
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  security definer
  rows 50
  set search_path = ''
as $$
begin
  return query select * from credits_private.read_history(credits_private.current_user_id(), p_page_size, p_before_seq, p_type);
end;
$$;

comment on function credits_private.get_transaction_history(integer, bigint, public.credit_transaction_type) is
  'The body of public.get_transaction_history: the same for the user of the token, with definer rights.';

revoke all on function credits_private.get_transaction_history(integer, bigint, public.credit_transaction_type) from public, anon, authenticated, service_role;
grant execute on function credits_private.get_transaction_history(integer, bigint, public.credit_transaction_type) to authenticated;

create or replace function public.get_transaction_history(
  page_size integer default 50,
  before_seq bigint default null,
  type public.credit_transaction_type default null
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  security invoker
  rows 50
  set search_path = ''
as $$
begin
  return query select * from credits_private.get_transaction_history(page_size, before_seq, type);
end;
$$;

comment on function public.get_transaction_history(integer, bigint, public.credit_transaction_type) is
  'Ledger rows of the signed-in user, newest first: page_size (1 to 500) rows below before_seq, of one type if given. Raises PT401 not_authenticated and 22023 invalid_argument.';

revoke all on function public.get_transaction_history(integer, bigint, public.credit_transaction_type) from public, anon, authenticated, service_role;
grant execute on function public.get_transaction_history(integer, bigint, public.credit_transaction_type) to authenticated;
