-- grant_entitlement: the engine of grant_entitlement_for, and what a transfer brings.

create or replace function credits_private.grant_entitlement(
  p_user_id uuid,
  p_entitlement text,
  p_active_until timestamptz,
  p_granted_by text
)
  returns public.user_entitlements
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_row public.user_entitlements;
  v_now pg_catalog.timestamptz;
begin
  if (length(p_entitlement) between 1 and 100) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'entitlement', 'length', length(p_entitlement)),
      hint = 'An entitlement is a word of 1 to 100 characters.';
  end if;
  perform credits_private.lock_account(p_user_id);
  v_now := credits_private.now();
  insert into public.user_entitlements as e (
    user_id, entitlement, active_until, source, granted_by, granted_until, updated_at, active_since,
    transferred_at
  )
  values (
    p_user_id, p_entitlement, p_active_until, p_granted_by, p_granted_by, p_active_until, v_now, v_now,
    case when p_granted_by = 'transfer' then v_now end
  )
  on conflict (user_id, entitlement) do update
  set
    granted_by = excluded.granted_by,
    granted_until = case
      when excluded.granted_by = 'transfer' and e.granted_by is not null
        then nullif(greatest(coalesce(e.granted_until, 'infinity'), coalesce(excluded.granted_until, 'infinity')), 'infinity')
      else excluded.granted_until
    end;
  perform credits_private.refresh_entitlements(p_user_id, array[p_entitlement]);
  select e.* into v_row
  from public.user_entitlements as e
  where e.user_id = p_user_id and e.entitlement = p_entitlement;
  return v_row;
end;
$$;

comment on function credits_private.grant_entitlement(uuid, text, timestamptz, text) is
  'Grants an entitlement and returns its row. Raises PT401, PT404 account_not_found, PT410 account_closed and 22023 invalid_argument.';

revoke all on function credits_private.grant_entitlement(uuid, text, timestamptz, text) from public, anon, authenticated, service_role;
