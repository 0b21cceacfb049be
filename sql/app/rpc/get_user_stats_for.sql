-- get_user_stats_for: the figures of a user, asked by a service. Writes nothing.

create or replace function public.get_user_stats_for(
  user_id uuid
)
  returns public.user_stats
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_stats(user_id);
end;
$$;

comment on function public.get_user_stats_for(uuid) is
  'Projects, exports, exports ever made, age of the account and balance of a user; writes nothing. Raises PT404 account_not_found and PT410 account_closed.';

revoke all on function public.get_user_stats_for(uuid) from public, anon, authenticated, service_role;
grant execute on function public.get_user_stats_for(uuid) to service_role;
