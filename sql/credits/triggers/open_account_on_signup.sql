-- open_account_on_signup: a new user has an account, and a sign-up never fails because of it.
--
-- Purchases that were made before there was a user, and wait for this id, are credited now.
-- Whatever goes wrong here becomes a warning in the log: the account is then opened by the first operation
-- of the user. Metadata is not looked at, since users choose theirs. An anonymous user who converts gets
-- the bonus that they could not have before; a passing conflict there is raised, for whoever asked to try
-- again, since nothing later would grant it. A new address of somebody who has an account has had its bonus. No comment
-- on the trigger: on Supabase only the owner of auth.users may write one.

create or replace function credits_private.open_account_on_signup()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  if new.deleted_at is not null then
    return null;
  elsif tg_op = 'INSERT' or old.is_anonymous and not new.is_anonymous then
    perform credits_private.open_account(new.id);
    perform credits_private.lock_names(array[new.id::pg_catalog.text]);
    perform credits_private.run_parked_events(array[new.id::pg_catalog.text]);
  elsif not new.is_anonymous
    and (new.email is distinct from old.email or new.phone is distinct from old.phone)
    and exists (select from public.user_credits as a where a.user_id = new.id)
  then
    perform credits_private.claim_bonus(new.id);
  end if;
  return null;
exception
  when query_canceled or others then
    if tg_op = 'UPDATE' and sqlstate in ('40001', '40P01', '55P03', '57014') then
      raise;
    end if;
    raise warning 'credits-db: the account of this user is opened later (%: %)', sqlstate, sqlerrm;
    return null;
end;
$$;

comment on function credits_private.open_account_on_signup() is
  'Trigger on auth.users: opens the account of a new user, grants the signup bonus to one who was anonymous, and notes that a new address has had it. Never fails a sign-up.';

revoke all on function credits_private.open_account_on_signup() from public, anon, authenticated, service_role;

create or replace trigger open_account_on_signup
  after insert or update of is_anonymous, email, phone on auth.users
  for each row
  execute function credits_private.open_account_on_signup();
