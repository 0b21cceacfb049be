-- explain_balance_for: where a user's balance comes from, for support.

create or replace function public.explain_balance_for(
  user_id uuid
)
  returns jsonb
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.explain_balance(user_id);
end;
$$;

comment on function public.explain_balance_for(uuid) is
  'A JSON object about the balance of a user: the figures, totals by type, the newest ledger rows, whether the books add up. Raises PT404 account_not_found and PT410 account_closed.';

revoke all on function public.explain_balance_for(uuid) from public, anon, authenticated, service_role;
grant execute on function public.explain_balance_for(uuid) to service_role;
