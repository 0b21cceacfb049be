-- verify_ledger: proves that every balance is what its ledger says.
--
-- For one user, or for all when user_id is null. No rows is the good answer. Run it from a monitor, after
-- a restore, and in tests.

create or replace function public.verify_ledger(
  user_id uuid default null
)
  returns setof public.ledger_violation
  language plpgsql
  stable
  security definer
  rows 10
  set search_path = ''
as $$
begin
  return query select * from credits_private.verify_ledger(user_id);
end;
$$;

comment on function public.verify_ledger(uuid) is
  'Every place where the books of a user, or of all users when null, do not add up. No rows is the good answer.';

revoke all on function public.verify_ledger(uuid) from public, anon, authenticated, service_role;
grant execute on function public.verify_ledger(uuid) to service_role;
