-- get_balance_at_for: what a user's balance was at a past instant, from the ledger.

create or replace function public.get_balance_at_for(
  user_id uuid,
  at timestamptz
)
  returns bigint
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_balance_at(user_id, at);
end;
$$;

comment on function public.get_balance_at_for(uuid, timestamptz) is
  'The balance of a user at an instant, in credits; 0 before the first ledger row. Raises 22023 invalid_argument.';

revoke all on function public.get_balance_at_for(uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.get_balance_at_for(uuid, timestamptz) to service_role;
