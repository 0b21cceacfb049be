-- export_user_data_for: everything that is held about a user, as the law lets them ask.
--
-- The same list of tables as a deletion's (personal_data). Called by a service that knows who is asking.

create or replace function public.export_user_data_for(
  user_id uuid
)
  returns jsonb
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.export_user_data(user_id);
end;
$$;

comment on function public.export_user_data_for(uuid) is
  'Everything that is held about a user: {"user_id", "exported_at", "tables": {"public.user_credits": [rows], ...}}, the row of auth.users without its secrets. Raises PT401 not_authenticated for a null user_id and PT404 account_not_found.';

revoke all on function public.export_user_data_for(uuid) from public, anon, authenticated, service_role;
grant execute on function public.export_user_data_for(uuid) to service_role;
