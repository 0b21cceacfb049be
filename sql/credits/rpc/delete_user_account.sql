-- delete_user_account: the signed-in user leaves, with everything that names them.
--
-- One transaction removes balance, ledger and the auth user. Nobody else's account can be named: the user
-- comes from the token.

create or replace function credits_private.delete_user_account()
  returns public.account_deletion
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.erase_account(credits_private.current_user_id());
end;
$$;

comment on function credits_private.delete_user_account() is
  'The body of public.delete_user_account: the same for the user of the token, with definer rights.';

revoke all on function credits_private.delete_user_account() from public, anon, authenticated, service_role;
grant execute on function credits_private.delete_user_account() to authenticated;

create or replace function public.delete_user_account()
  returns public.account_deletion
  language plpgsql
  volatile
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.delete_user_account();
end;
$$;

comment on function public.delete_user_account() is
  'Delete the signed-in user: balance, ledger and auth user, in one transaction. Returns the receipt, zeros when there was nothing left. Raises PT401 not_authenticated.';

revoke all on function public.delete_user_account() from public, anon, authenticated, service_role;
grant execute on function public.delete_user_account() to authenticated;
