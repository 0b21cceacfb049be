-- keep_accounts: an account goes when its user is gone, and its ledger goes with it.
--
-- The other half of keep_ledger: without it, whoever may delete a balance row could delete a history. A user who was
-- deleted softly (deleted_at) is gone; the row in auth.users is GoTrue's. A change of user is refused by statement, because a row trigger before an update, of whichever column, makes Postgres
-- lock each row that any update touches, with a record in the WAL.

create or replace function credits_private.keep_accounts()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  if tg_op = 'DELETE' then
    if not exists (select from auth.users as u where u.id = old.user_id and u.deleted_at is null) then
      return old;
    end if;
  end if;
  raise exception using
    errcode = 'PT403',
    message = 'ledger_immutable',
    detail = json_build_object('operation', lower(tg_op)),
    hint = 'An account goes with its user: call delete_user_account, or delete the row in auth.users.';
end;
$$;

comment on function credits_private.keep_accounts() is
  'Trigger on user_credits: lets a row go only after its user. Raises PT403 ledger_immutable.';

revoke all on function credits_private.keep_accounts() from public, anon, authenticated, service_role;

create or replace trigger keep_accounts
  before delete on public.user_credits
  for each row
  execute function credits_private.keep_accounts();

create or replace trigger keep_accounts_whole
  before truncate or update of user_id on public.user_credits
  for each statement
  execute function credits_private.keep_accounts();

alter table public.user_credits enable always trigger keep_accounts;
alter table public.user_credits enable always trigger keep_accounts_whole;

comment on trigger keep_accounts on public.user_credits is
  'No delete while the user exists.';
comment on trigger keep_accounts_whole on public.user_credits is
  'No truncate, and no change of user ever.';
