-- credits: a computed field of profiles, the balance now.
--
-- What has fallen due is counted, like get_user_credits. For that it asks whichever of the two reads the caller may
-- execute, and is null for a profile whose balance the caller may not read (hosts have profiles that all may see).
-- select=id,credits through PostgREST, p.credits in SQL.

create or replace function public.credits(profile public.profiles)
  returns bigint
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_account public.user_credits;
begin
  if has_function_privilege('public.get_user_credits_for(uuid)', 'execute') then
    v_account := public.get_user_credits_for(profile.id);
  elsif profile.id = auth.uid() then
    v_account := credits_private.get_user_credits();
  end if;
  return v_account.credits_remaining;
end;
$$;

comment on function public.credits(public.profiles) is
  'Computed field: the balance of the user now, what has fallen due included; null for somebody else''s.';

revoke all on function public.credits(public.profiles) from public, anon, authenticated, service_role;
grant execute on function public.credits(public.profiles) to authenticated, service_role;
