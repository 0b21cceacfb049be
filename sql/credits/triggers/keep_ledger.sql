-- keep_ledger: the ledger is append-only, for everybody.
--
-- No update, no truncate, and no delete while the account of the row exists; the owner is no exception.
-- The triggers are ENABLE ALWAYS, so that session_replication_role does not switch them off.

create or replace function credits_private.keep_ledger()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  if tg_op = 'DELETE' then
    if not exists (select from public.user_credits as a where a.user_id = old.user_id) then
      return old;
    end if;
  end if;
  raise exception using
    errcode = 'PT403',
    message = 'ledger_immutable',
    detail = json_build_object('operation', lower(tg_op)),
    hint = 'The ledger is append-only: correct it by adding a row, for instance an admin_adjustment.';
end;
$$;

comment on function credits_private.keep_ledger() is
  'Trigger on credit_transactions: lets a row go only after its account. Raises PT403 ledger_immutable.';

revoke all on function credits_private.keep_ledger() from public, anon, authenticated, service_role;

create or replace trigger keep_ledger
  before update or delete on public.credit_transactions
  for each row
  execute function credits_private.keep_ledger();

create or replace trigger keep_ledger_whole
  before truncate on public.credit_transactions
  for each statement
  execute function credits_private.keep_ledger();

alter table public.credit_transactions enable always trigger keep_ledger;
alter table public.credit_transactions enable always trigger keep_ledger_whole;

comment on trigger keep_ledger on public.credit_transactions is
  'No update ever, no delete while the account exists.';
comment on trigger keep_ledger_whole on public.credit_transactions is
  'No truncate.';
