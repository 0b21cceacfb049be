-- get_user_credits: what the signed-in user has now.
--
-- Writes nothing, so it also answers a GET. One row always: for a user whose account is not open yet, the
-- one that opening it would give.

create or replace function credits_private.get_user_credits()
  returns public.user_credits
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_account(credits_private.current_user_id());
end;
$$;

comment on function credits_private.get_user_credits() is
  'The body of public.get_user_credits: the same for the user of the token, with definer rights.';

revoke all on function credits_private.get_user_credits() from public, anon, authenticated, service_role;
grant execute on function credits_private.get_user_credits() to authenticated;

create or replace function public.get_user_credits()
  returns public.user_credits
  language plpgsql
  stable
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.get_user_credits();
end;
$$;

comment on function public.get_user_credits() is
  'The balance of the signed-in user, in credits; writes nothing. Raises PT401 not_authenticated, PT404 account_not_found and PT410 account_closed.';

revoke all on function public.get_user_credits() from public, anon, authenticated, service_role;
grant execute on function public.get_user_credits() to authenticated;
