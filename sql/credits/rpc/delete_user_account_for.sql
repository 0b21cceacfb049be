-- delete_user_account_for: a service removes a user with everything that names them, in one transaction.

create or replace function public.delete_user_account_for(
  user_id uuid
)
  returns public.account_deletion
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.erase_account(user_id);
end;
$$;

comment on function public.delete_user_account_for(uuid) is
  'Delete a user: balance, ledger and auth user, in one transaction. Returns the receipt, zeros when there was nothing left. Raises PT401 not_authenticated for a null user_id.';

revoke all on function public.delete_user_account_for(uuid) from public, anon, authenticated, service_role;
grant execute on function public.delete_user_account_for(uuid) to service_role;
