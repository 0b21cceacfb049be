-- remove_projects: everything of the app goes with its user, and nothing of theirs stays behind.
--
-- Before a deletion, while it is known whose the projects, layers and exports are: a cascade would come to layers and
-- exports when nobody knows any more, and their files would have no owner. A soft deletion leaves the row in auth.users,
-- so all that would go with it goes here. No comment on the triggers: on Supabase only the owner of auth.users may write
-- one.

create or replace function credits_private.remove_projects()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  if tg_op = 'UPDATE' then
    if old.deleted_at is not null or new.deleted_at is null then
      return null;
    end if;
  end if;
  -- triggers of the host may fire on the way, and not all of them name schemas; temporary objects come last
  set local search_path = public, extensions, pg_temp;
  if tg_op = 'UPDATE' then
    delete from public.profiles as p where p.id = old.id;
  end if;
  delete from public.projects as p where p.user_id = old.id;
  set local search_path = '';
  delete from credits_private.deleted_projects as d where d.user_id = old.id;
  delete from credits_private.deleted_exports as d where d.user_id = old.id;
  delete from credits_private.export_keys as k where k.user_id = old.id;
  -- of a project that a service has given to somebody else
  update public.exports as e set user_id = null where e.user_id = old.id;
  return old;
end;
$$;

comment on function credits_private.remove_projects() is
  'Trigger on auth.users: removes what a deleted user has in the tables of the app.';

revoke all on function credits_private.remove_projects() from public, anon, authenticated, service_role;

create or replace trigger remove_projects
  before delete on auth.users
  for each row
  execute function credits_private.remove_projects();

create or replace trigger remove_projects_softly
  after update of deleted_at on auth.users
  for each row
  execute function credits_private.remove_projects();
