-- get_usage_for: what a user spent in a window of time, asked by a service.

create or replace function public.get_usage_for(
  user_id uuid,
  since timestamptz,
  until timestamptz default null
)
  returns public.credit_usage
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_usage(user_id, since, until);
end;
$$;

comment on function public.get_usage_for(uuid, timestamptz, timestamptz) is
  'Credits that a user consumed from since (included) until until (not included; null is now). Raises 22023 invalid_argument.';

revoke all on function public.get_usage_for(uuid, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.get_usage_for(uuid, timestamptz, timestamptz) to service_role;
