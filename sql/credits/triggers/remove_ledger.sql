-- remove_ledger: takes the ledger rows of an account that has just gone.

create or replace function credits_private.remove_ledger()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  delete from public.credit_transactions as t where t.user_id = old.user_id;
  return null;
end;
$$;

comment on function credits_private.remove_ledger() is
  'Trigger on user_credits: deletes the ledger rows of a deleted account.';

revoke all on function credits_private.remove_ledger() from public, anon, authenticated, service_role;

create or replace trigger remove_ledger
  after delete on public.user_credits
  for each row
  execute function credits_private.remove_ledger();

alter table public.user_credits enable always trigger remove_ledger;

comment on trigger remove_ledger on public.user_credits is
  'The ledger goes with its account.';
