-- has_entitlement_for: may a user use something now, asked by a service.

create or replace function public.has_entitlement_for(
  user_id uuid,
  entitlement text
)
  returns boolean
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_entitlement(user_id, entitlement);
end;
$$;

comment on function public.has_entitlement_for(uuid, text) is
  'Whether an entitlement of a user is active now.';

revoke all on function public.has_entitlement_for(uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.has_entitlement_for(uuid, text) to service_role;
