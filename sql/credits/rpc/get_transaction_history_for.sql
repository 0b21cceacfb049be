-- get_transaction_history_for: a user's ledger, newest first, in pages, asked by a service.

create or replace function public.get_transaction_history_for(
  user_id uuid,
  page_size integer default 50,
  before_seq bigint default null,
  type public.credit_transaction_type default null
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  security definer
  rows 50
  set search_path = ''
as $$
begin
  return query select * from credits_private.read_history(user_id, page_size, before_seq, type);
end;
$$;

comment on function public.get_transaction_history_for(uuid, integer, bigint, public.credit_transaction_type) is
  'Ledger rows of a user, newest first: page_size (1 to 500) rows below before_seq, of one type if given. Raises 22023 invalid_argument.';

revoke all on function public.get_transaction_history_for(uuid, integer, bigint, public.credit_transaction_type) from public, anon, authenticated, service_role;
grant execute on function public.get_transaction_history_for(uuid, integer, bigint, public.credit_transaction_type) to service_role;
