-- erase_account: removes a user whole, in one transaction.
--
-- Locks the user, then the balance: the order of a deletion in auth.users, of a sign-up and of lock_account, so a spend
-- beside it came before or finds no account. (A transaction with two plain spends of one user looks at the user again,
-- for the foreign key, and may so meet a deletion in a deadlock; Postgres ends one of the two.)
-- Deleting the auth user does the rest: the balance goes by its foreign key, everything else with the balance, or by
-- close_account_on_deletion. The receipt counts what personal_data lists, so a host's tables are on it too: one that
-- cannot be counted is null there and a warning in the log, since no receipt is a reason not to delete.
-- Called again it removes nothing and answers with a receipt of zeros.

create or replace function credits_private.erase_account(p_user_id uuid)
  returns public.account_deletion
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_address pg_catalog.text;
  v_place credits_private.personal_data;
  v_count bigint;
  v_receipt public.account_deletion;
begin
  if p_user_id is null then
    raise exception using
      errcode = 'PT401',
      message = 'not_authenticated',
      detail = '{}',
      hint = 'The user id is null: nobody is signed in.';
  end if;
  select lower(u.email) into v_address from auth.users as u where u.id = p_user_id for update;
  if credits_private.credits_before(p_user_id) is not null then
    perform credits_private.lock_account(p_user_id);  -- what they had is written off, not forgotten
  end if;
  perform credits_private.settle_leaving(p_user_id);
  v_receipt.credits_written_off := coalesce(
    (select a.credits_remaining from public.user_credits as a where a.user_id = p_user_id), 0
  );
  v_receipt.removed := '{}';
  for v_place in
    select d.* from credits_private.personal_data as d where d.is_erased and to_regclass(d.relation) is not null
  loop
    begin
      execute format('select count(*) from %s as t where %s', to_regclass(v_place.relation), v_place.predicate)
      into v_count
      using p_user_id, v_address;
    exception
      when others then
        v_count := null;
        raise warning 'credits-db: % is not on the receipt, see its row in personal_data (%: %)', v_place.relation, sqlstate, sqlerrm;
    end;
    v_receipt.removed := v_receipt.removed || jsonb_build_object(v_place.relation, v_count);
  end loop;
  -- triggers of the host may fire on the way, and not all of them name schemas; temporary objects come last
  set local search_path = public, extensions, pg_temp;
  delete from auth.users as u where u.id = p_user_id;
  set local search_path = '';
  v_receipt.user_id := p_user_id;
  v_receipt.deleted_at := credits_private.now();
  return v_receipt;
end;
$$;

comment on function credits_private.erase_account(uuid) is
  'Deletes a user with all that is theirs, and returns the receipt. Raises PT401 not_authenticated for null.';

revoke all on function credits_private.erase_account(uuid) from public, anon, authenticated, service_role;
