-- remove_projects: what the references to auth.users cannot remove when a user goes.
--
-- Projects are gone by then: Postgres runs its own triggers first, by their names. Their exports may not be, but nobody
-- counts them any more (count_exports). A soft deletion leaves the row in auth.users, so all that would go with it goes
-- here. No comment on the trigger: on Supabase only the owner of auth.users may write one.

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
    delete from public.projects as p where p.user_id = old.id;
    delete from public.profiles as p where p.id = old.id;
  end if;
  delete from credits_private.deleted_exports as d where d.user_id = old.id;
  delete from credits_private.export_keys as k where k.user_id = old.id;
  delete from credits_private.deleted_projects as d where d.user_id = old.id;
  -- of a project that a service has given to somebody else
  update public.exports as e
  set user_id = null
  where e.user_id = old.id and exists (select from public.projects as p where p.id = e.project_id);
  return null;
end;
$$;

comment on function credits_private.remove_projects() is
  'Trigger on auth.users: removes what is left of a deleted user in the tables of the app, and everything of one who was soft-deleted.';

revoke all on function credits_private.remove_projects() from public, anon, authenticated, service_role;

create or replace trigger remove_projects
  after delete or update of deleted_at on auth.users
  for each row
  execute function credits_private.remove_projects();
