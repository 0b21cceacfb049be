-- end_recurring_grant: a recurring grant stops.
--
-- What the present period gave stays, also where nobody has written it yet; no later period is granted.

create or replace function public.end_recurring_grant(
  name text,
  user_id uuid default null
)
  returns public.recurring_grant
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_owner constant pg_catalog.uuid := coalesce(user_id, '00000000-0000-0000-0000-000000000000');
  v_grant credits_private.recurring_grants;
  v_now pg_catalog.timestamptz;
begin
  if user_id is not null then
    perform credits_private.lock_account(user_id);
    perform credits_private.settle_account(user_id);
  end if;
  v_now := credits_private.now();
  delete from credits_private.recurring_grants as g
  where g.user_id = v_owner and g.name = end_recurring_grant.name and g.starts_at > v_now;
  update credits_private.recurring_grants as g
  set ends_at = v_now
  where g.user_id = v_owner and g.name = end_recurring_grant.name and (g.ends_at > v_now) is not false
  returning g.* into v_grant;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'grant_not_found',
      detail = json_build_object('name', name),
      hint = 'No such recurring grant is in force.';
  end if;
  if user_id is not null then
    perform credits_private.set_due(user_id);
  end if;
  return credits_private.show_grant(v_grant);
end;
$$;

comment on function public.end_recurring_grant(text, uuid) is
  'Stop a recurring grant of a user, or of an entitlement where user_id is null. Returns the grant. Raises PT404 grant_not_found or account_not_found, PT410 account_closed.';

revoke all on function public.end_recurring_grant(text, uuid) from public, anon, authenticated, service_role;
grant execute on function public.end_recurring_grant(text, uuid) to service_role;
