-- settle_leaving: writes what has fallen due for a user who is about to be deleted.
--
-- So that receipt, closed_accounts and the totals agree. Locks the balance; the caller has locked the user. What cannot
-- be written does not stop a deletion.

create or replace function credits_private.settle_leaving(p_user_id uuid)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  perform from public.user_credits as a where a.user_id = p_user_id for update;
  if not found then
    return;
  end if;
  begin
    perform credits_private.settle_account(p_user_id);
  exception
    when others then
      if sqlstate in ('40001', '40P01', '55P03') then
        raise;
      end if;
      raise warning 'credits-db: what was due for a deleted account was not written (%: %)', sqlstate, sqlerrm;
  end;
end;
$$;

comment on function credits_private.settle_leaving(uuid) is
  'Locks a balance that is about to go, and writes what is due for it; a warning where that cannot be.';

revoke all on function credits_private.settle_leaving(uuid) from public, anon, authenticated, service_role;
