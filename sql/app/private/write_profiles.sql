-- write_profiles: makes the profiles of users who were there before, a batch at a time.
--
-- Called by credits-db push in transactions of its own and by the migration for whoever is left. Takes the next p_limit
-- users without a profile after the id p_from, and says with which id to go on. Where the host makes its own
-- profiles (there is no trigger write_profile) there is nothing to do. Whom the host's table refuses is left out.

create or replace function credits_private.write_profiles(
  p_from uuid,
  p_limit integer
)
  returns uuid
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_users pg_catalog.uuid[];
  v_user pg_catalog.uuid;
begin
  if not exists (
    select
    from pg_catalog.pg_trigger as t
    where t.tgrelid = 'auth.users'::pg_catalog.regclass and t.tgfoid = 'credits_private.write_profile()'::pg_catalog.regprocedure
  ) then
    return null;
  end if;
  v_users := array(
    select u.id
    from auth.users as u
    where u.id > p_from
      and u.deleted_at is null
      and not exists (select from public.profiles as p where p.id = u.id)
    order by u.id
    limit p_limit
    for key share of u
  );
  begin
    insert into public.profiles (id, email)
    select u.id, u.email
    from auth.users as u
    where u.id = any (v_users)
    on conflict do nothing;
  exception
    when others then
      -- one whom the host's table does not take
      foreach v_user in array v_users loop
        begin
          insert into public.profiles (id, email)
          select u.id, u.email
          from auth.users as u
          where u.id = v_user
          on conflict do nothing;
        exception
          when others then
            raise warning 'credits-db: profiles does not take a user, who stays without (%: %)', sqlstate, sqlerrm;
        end;
      end loop;
  end;
  return v_users[cardinality(v_users)];
end;
$$;

comment on function credits_private.write_profiles(uuid, integer) is
  'Makes profiles for the next p_limit users who have none, after the id p_from. Returns the last of them, to go on with; null when nobody was left.';

revoke all on function credits_private.write_profiles(uuid, integer) from public, anon, authenticated, service_role;
