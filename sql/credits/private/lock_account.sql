-- lock_account: takes the one lock, opening the account if need be.
--
-- The first step of every operation that decides something about a balance; what it returns is the newest committed
-- state, and stays so until the transaction ends. NO KEY: a reference to the row need not wait. The user is shared
-- first, in the order of a deletion: who moves a balance twice in one transaction looks at the user again (the
-- foreign key).

create or replace function credits_private.lock_account(p_user_id uuid)
  returns public.user_credits
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
begin
  perform from auth.users as u where u.id = p_user_id for key share;
  loop
    select a.* into v_account
    from public.user_credits as a
    where a.user_id = p_user_id
    for no key update;
    exit when found;
    perform credits_private.open_account(p_user_id);
  end loop;
  return v_account;
end;
$$;

comment on function credits_private.lock_account(uuid) is
  'Locks the balance row of a user and returns it, opening the account first where it is missing. Raises PT401 and PT404 like open_account.';

revoke all on function credits_private.lock_account(uuid) from public, anon, authenticated, service_role;
