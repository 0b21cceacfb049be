-- close_account_on_deletion: a user who leaves by any way is gone the same way.
--
-- Before a delete what has fallen due is written. After it the balance has gone by its foreign key, and all of the
-- account with it. A soft deletion (GoTrue sets deleted_at, and replaces the address in the same statement) leaves the
-- row: the balance is deleted here, behind whoever is opening or using the account at the moment. Then events, which
-- the row's old address is needed for. An error is raised: a deletion that is not whole has not been done. No comment
-- on the triggers: on Supabase only the owner of auth.users may write one.

create or replace function credits_private.close_account_on_deletion()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  if tg_when = 'BEFORE' then
    perform credits_private.settle_leaving(old.id);
    return old;
  end if;
  if tg_op = 'UPDATE' then
    if old.deleted_at is not null or new.deleted_at is null then
      return null;
    end if;
    perform from auth.users as u where u.id = new.id for update;
    perform credits_private.settle_leaving(new.id);
    delete from public.user_credits as a where a.user_id = new.id;
  end if;
  perform credits_private.remove_adopted(old.id);
  perform credits_private.forget_user(old.id, old.email);
  return null;
end;
$$;

comment on function credits_private.close_account_on_deletion() is
  'Trigger on auth.users: closes the account of a user who is deleted, softly or not.';

revoke all on function credits_private.close_account_on_deletion() from public, anon, authenticated, service_role;

create or replace trigger close_account_on_deletion
  after delete or update of deleted_at on auth.users
  for each row
  execute function credits_private.close_account_on_deletion();

create or replace trigger settle_account_before_deletion
  before delete on auth.users
  for each row
  execute function credits_private.close_account_on_deletion();
