-- has_entitlement: may the signed-in user use something now?

create or replace function credits_private.has_entitlement(
  p_entitlement text
)
  returns boolean
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_entitlement(credits_private.current_user_id(), p_entitlement);
end;
$$;

comment on function credits_private.has_entitlement(text) is
  'The body of public.has_entitlement: the same for the user of the token, with definer rights.';

revoke all on function credits_private.has_entitlement(text) from public, anon, authenticated, service_role;
grant execute on function credits_private.has_entitlement(text) to authenticated;

create or replace function public.has_entitlement(
  entitlement text
)
  returns boolean
  language plpgsql
  stable
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.has_entitlement(entitlement);
end;
$$;

comment on function public.has_entitlement(text) is
  'Whether an entitlement of the signed-in user is active now. Raises PT401 not_authenticated.';

revoke all on function public.has_entitlement(text) from public, anon, authenticated, service_role;
grant execute on function public.has_entitlement(text) to authenticated;
