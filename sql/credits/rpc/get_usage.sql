-- get_usage: what the signed-in user spent in a window of time, for quotas and for showing it.

create or replace function credits_private.get_usage(
  p_since timestamptz,
  p_until timestamptz
)
  returns public.credit_usage
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_usage(credits_private.current_user_id(), p_since, p_until);
end;
$$;

comment on function credits_private.get_usage(timestamptz, timestamptz) is
  'The body of public.get_usage: the same for the user of the token, with definer rights.';

revoke all on function credits_private.get_usage(timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function credits_private.get_usage(timestamptz, timestamptz) to authenticated;

create or replace function public.get_usage(
  since timestamptz,
  until timestamptz default null
)
  returns public.credit_usage
  language plpgsql
  stable
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.get_usage(since, until);
end;
$$;

comment on function public.get_usage(timestamptz, timestamptz) is
  'Credits that the signed-in user consumed from since (included) until until (not included; null is now). Raises PT401 not_authenticated and 22023 invalid_argument.';

revoke all on function public.get_usage(timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.get_usage(timestamptz, timestamptz) to authenticated;
