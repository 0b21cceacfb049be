-- write_profile: a new user has a profile, which keeps their address, and a sign-up never fails because of it.
--
-- After the host's own triggers, by its name: a profile that one of them has made stays as it is. Not made at all where the
-- host makes the profiles itself: a function of a trigger on auth.users speaks of them, or they need a column that
-- nobody but the host could fill. No comment on the trigger: on Supabase only the owner of auth.users may write one.

create or replace function credits_private.write_profile()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  if tg_op = 'INSERT' then
    insert into public.profiles (id, email) values (new.id, new.email) on conflict do nothing;
  else
    update public.profiles as p set email = new.email where p.id = new.id and p.email is distinct from new.email;
  end if;
  return null;
exception
  when query_canceled or others then
    raise warning 'credits-db: this user has no profile, or one with an old address (%: %)', sqlstate, sqlerrm;
    return null;
end;
$$;

comment on function credits_private.write_profile() is
  'Trigger on auth.users: makes the profile of a new user and keeps its address. Never fails a sign-up.';

revoke all on function credits_private.write_profile() from public, anon, authenticated, service_role;

do $$
begin
  if not exists (
    select
    from pg_catalog.pg_trigger as t
    join pg_catalog.pg_proc as p on p.oid = t.tgfoid
    where t.tgrelid = 'auth.users'::regclass
      and not t.tgisinternal
      and p.pronamespace <> 'credits_private'::regnamespace
      and p.prosrc ~* '\mprofiles\M'
  ) and not exists (
    select
    from pg_catalog.pg_attribute as a
    where a.attrelid = 'public.profiles'::regclass
      and a.attnum > 0
      and not a.attisdropped
      and a.attnotnull
      and not a.atthasdef
      and a.attidentity = ''
      and a.attname not in ('id', 'email')
  ) then
    create or replace trigger write_profile
      after insert or update of email on auth.users
      for each row
      execute function credits_private.write_profile();
  end if;
end;
$$;
