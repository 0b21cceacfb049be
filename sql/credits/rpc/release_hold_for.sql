-- release_hold_for: a service gives back what it had set aside.
--
-- Again, or after the hold has expired, it answers with the hold as it is.

create or replace function public.release_hold_for(
  user_id uuid,
  hold_id uuid
)
  returns public.credit_holds
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.release_hold(user_id, hold_id);
end;
$$;

comment on function public.release_hold_for(uuid, uuid) is
  'Give a hold back. Returns the hold. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found or hold_not_found, PT409 hold_not_active where it was captured, PT410 account_closed.';

revoke all on function public.release_hold_for(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function public.release_hold_for(uuid, uuid) to service_role;
