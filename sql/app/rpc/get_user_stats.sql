-- get_user_stats: the figures of the signed-in user, for a settings screen. Writes nothing, so it also answers a GET.

create or replace function credits_private.get_user_stats()
  returns public.user_stats
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_stats(credits_private.current_user_id());
end;
$$;

comment on function credits_private.get_user_stats() is
  'The body of public.get_user_stats: the same for the user of the token, with definer rights.';

revoke all on function credits_private.get_user_stats() from public, anon, authenticated, service_role;
grant execute on function credits_private.get_user_stats() to authenticated;

create or replace function public.get_user_stats()
  returns public.user_stats
  language plpgsql
  stable
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.get_user_stats();
end;
$$;

comment on function public.get_user_stats() is
  'Projects, exports, exports ever made, age of the account and balance of the signed-in user; writes nothing. Raises PT401 not_authenticated, PT404 account_not_found and PT410 account_closed.';

revoke all on function public.get_user_stats() from public, anon, authenticated, service_role;
grant execute on function public.get_user_stats() to authenticated;
