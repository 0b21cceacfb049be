-- read_entitlement: may this user use it now?

create or replace function credits_private.read_entitlement(
  p_user_id uuid,
  p_entitlement text
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return exists (
    select
    from public.user_entitlements as e
    where e.user_id = p_user_id
      and e.entitlement = p_entitlement
      and (e.active_until is null or e.active_until > credits_private.now())
  );
end;
$$;

comment on function credits_private.read_entitlement(uuid, text) is
  'Whether an entitlement of a user is active by the clock of the database.';

revoke all on function credits_private.read_entitlement(uuid, text) from public, anon, authenticated, service_role;
