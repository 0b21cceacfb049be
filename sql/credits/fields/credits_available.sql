-- credits_available: a computed field of user_credits, what may be spent now.
--
-- The columns are as last posted; this takes off what has fallen due since, like get_user_credits. For that it asks
-- whichever of the two reads the caller may execute, and is told about nobody whom the caller may not read.
-- select=*,credits_available through PostgREST, (c).credits_available or credits_available(c) in SQL.

create or replace function public.credits_available(account public.user_credits)
  returns bigint
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_account public.user_credits := account;
begin
  if account.next_due_at is not null then
    if has_function_privilege('public.get_user_credits_for(uuid)', 'execute') then
      v_account := public.get_user_credits_for(account.user_id);
    else
      v_account := credits_private.get_user_credits();
    end if;
    if v_account.user_id <> account.user_id then
      v_account := account;
    end if;
  end if;
  return v_account.credits_remaining - v_account.credits_held;
end;
$$;

comment on function public.credits_available(public.user_credits) is
  'Computed field: the credits that may be spent now, credits_remaining less credits_held and less what has expired.';

revoke all on function public.credits_available(public.user_credits) from public, anon, authenticated, service_role;
grant execute on function public.credits_available(public.user_credits) to authenticated, service_role;
