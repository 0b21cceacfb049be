-- close_account: an account goes whole, and leaves totals that name nobody.
--
-- Fires when the balance goes, whatever made it go. Stands in for the foreign keys that every spend would have to pay
-- for. What remains has a random id: totals by month, the credits that were given up, and claims that stop the same
-- transactions from being credited again.

create or replace function credits_private.close_account()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
declare
  v_id pg_catalog.uuid;
begin
  insert into credits_private.closed_accounts (closed_at, credits_written_off)
  values ((credits_private.now() at time zone 'UTC')::pg_catalog.date, old.credits_remaining)
  returning id into v_id;
  perform credits_private.remove_ledger(old.user_id, v_id);
  perform credits_private.remove_lots(old.user_id);
  perform credits_private.remove_purchases(old.user_id, v_id);
  return null;
end;
$$;

comment on function credits_private.close_account() is
  'Trigger on user_credits: removes all of a deleted account but its totals and its closed claims.';

revoke all on function credits_private.close_account() from public, anon, authenticated, service_role;

create or replace trigger close_account
  after delete on public.user_credits
  for each row
  execute function credits_private.close_account();

alter table public.user_credits enable always trigger close_account;

comment on trigger close_account on public.user_credits is
  'All of an account goes with its balance; totals and claims stay without it.';
