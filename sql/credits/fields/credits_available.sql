-- credits_available: a computed field of user_credits, what may be spent now.
--
-- select=*,credits_available through PostgREST, (c).credits_available or credits_available(c) in SQL.

create or replace function public.credits_available(account public.user_credits)
  returns bigint
  language sql
  stable
  set search_path = ''
as $$
  select account.credits_remaining - account.credits_held;
$$;

comment on function public.credits_available(public.user_credits) is
  'Computed field: the credits that may be spent now, credits_remaining less credits_held.';

revoke all on function public.credits_available(public.user_credits) from public, anon, authenticated, service_role;
grant execute on function public.credits_available(public.user_credits) to authenticated, service_role;
