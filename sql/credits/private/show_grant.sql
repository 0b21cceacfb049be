-- show_grant: a recurring grant as the API answers it.

create or replace function credits_private.show_grant(
  p_grant credits_private.recurring_grants
)
  returns public.recurring_grant
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return row(
    case when p_grant.entitlement is null then p_grant.user_id end,
    p_grant.name, p_grant.entitlement, p_grant.amount, p_grant.period, p_grant.rollover, p_grant.starts_at, p_grant.ends_at
  )::public.recurring_grant;
end;
$$;

comment on function credits_private.show_grant(credits_private.recurring_grants) is
  'A recurring grant as set_recurring_grant answers it.';

revoke all on function credits_private.show_grant(credits_private.recurring_grants)
  from public, anon, authenticated, service_role;
