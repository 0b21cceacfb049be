-- get_user_credits_for: what a user has now, asked by a service. Writes nothing.

create or replace function public.get_user_credits_for(
  user_id uuid
)
  returns public.user_credits
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_account(user_id);
end;
$$;

comment on function public.get_user_credits_for(uuid) is
  'The balance of a user, in credits; writes nothing. Raises PT404 account_not_found and PT410 account_closed.';

revoke all on function public.get_user_credits_for(uuid) from public, anon, authenticated, service_role;
grant execute on function public.get_user_credits_for(uuid) to service_role;
