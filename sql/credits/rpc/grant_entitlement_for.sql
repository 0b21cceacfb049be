-- grant_entitlement_for: a service lets a user use something, until an instant or for ever.
--
-- Beside what purchases give: the longer of the two counts. An instant that has passed ends the grant.

create or replace function public.grant_entitlement_for(
  user_id uuid,
  entitlement text,
  active_until timestamptz default null
)
  returns public.user_entitlements
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.grant_entitlement(user_id, entitlement, active_until, 'manual');
end;
$$;

comment on function public.grant_entitlement_for(uuid, text, timestamptz) is
  'Grant an entitlement to a user until an instant, or for ever when null. Returns its row. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found, PT410 account_closed, 22023 invalid_argument.';

revoke all on function public.grant_entitlement_for(uuid, text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.grant_entitlement_for(uuid, text, timestamptz) to service_role;
