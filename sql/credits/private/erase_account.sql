-- erase_account: removes a user whole, in one transaction.
--
-- Locks the user, then the balance: the order of a deletion in auth.users, of a sign-up and of lock_account, so a spend
-- beside it came before or finds no account. (A transaction with two plain spends of one user looks at the user again,
-- for the foreign key, and may so meet a deletion in a deadlock; Postgres ends one of the two.)
-- Deleting the auth user does the rest: the balance goes by its foreign key, ledger and purchases with the balance.
-- Called again it removes nothing and answers with a receipt of zeros.

create or replace function credits_private.erase_account(p_user_id uuid)
  returns public.account_deletion
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_transactions bigint := 0::bigint;
  v_purchases bigint := 0::bigint;
  v_entitlements bigint := 0::bigint;
  v_holds bigint := 0::bigint;
  v_accounts bigint := 0::bigint;
  v_users bigint := 0::bigint;
  v_receipt public.account_deletion;
begin
  if p_user_id is null then
    raise exception using
      errcode = 'PT401',
      message = 'not_authenticated',
      detail = '{}',
      hint = 'The user id is null: nobody is signed in.';
  end if;
  perform from auth.users as u where u.id = p_user_id for update;
  if found then
    perform from public.user_credits as a where a.user_id = p_user_id for update;
    get diagnostics v_accounts = row_count;
    if found then
      v_account := credits_private.read_account(p_user_id);
    end if;
    select count(*) into v_transactions from public.credit_transactions as t where t.user_id = p_user_id;
    select count(*) into v_purchases from public.purchase_transactions as p where p.user_id = p_user_id;
    select count(*) into v_entitlements from public.user_entitlements as e where e.user_id = p_user_id;
    select count(*) into v_holds from public.credit_holds as h where h.user_id = p_user_id;
    delete from auth.users as u where u.id = p_user_id;
    get diagnostics v_users = row_count;
  end if;
  v_receipt.user_id := p_user_id;
  v_receipt.deleted_at := credits_private.now();
  v_receipt.credits_written_off := coalesce(v_account.credits_remaining, 0);
  v_receipt.removed := jsonb_build_object(
    'auth.users', v_users,
    'public.user_credits', v_accounts,
    'public.credit_transactions', v_transactions,
    'public.credit_holds', v_holds,
    'public.purchase_transactions', v_purchases,
    'public.user_entitlements', v_entitlements
  );
  return v_receipt;
end;
$$;

comment on function credits_private.erase_account(uuid) is
  'Deletes a user with balance and ledger, and returns the receipt. Raises PT401 not_authenticated for null.';

revoke all on function credits_private.erase_account(uuid) from public, anon, authenticated, service_role;
