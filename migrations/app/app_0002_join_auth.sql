-- What joins the app to auth.users: the references, the trigger for new users, the policies.
--
-- Short, since it locks auth.users, and on Supabase a policy locks all of auth, until it ends.
--
-- depends: app_0001_projects

-- from sql/app/references/profiles.sql
-- The reference of profiles to auth.users: a profile goes with its user.
--
-- Apart from the table, because it locks auth.users until its transaction ends. A later migration looks at the rows.

select credits_private.repoint('public.profiles', 'id', 'auth.users');
-- end

-- from sql/app/references/projects.sql
-- The references of projects, their layers and their exports: what belongs to a user goes with them, and what belongs
-- to a project with it, whatever the host's own references said. A later migration looks at the rows.

select credits_private.repoint('public.projects', 'user_id', 'auth.users');
select credits_private.repoint('public.project_layers', 'project_id', 'public.projects');
select credits_private.repoint('public.exports', 'project_id', 'public.projects');
-- end

-- from sql/app/triggers/write_profile.sql
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
-- end

-- from sql/app/triggers/remove_projects.sql
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
-- end

-- from sql/app/policies/profiles.sql
-- Policies of profiles: users see their own, services do everything.

do $$
begin
  if not credits_private.keeps_policies('public.profiles') then
    create policy "users read their own profile"
      on public.profiles
      for select
      to authenticated
      using (id = (select auth.uid()));

    create policy "services keep every profile"
      on public.profiles
      for all
      to service_role
      using (true)
      with check (true);
  end if;
end;
$$;
-- end

-- from sql/app/policies/projects.sql
-- Policies of projects, layers and exports: users do what their grants say with what is theirs, services do everything.
--
-- A project cannot be given to somebody else, nor a layer to somebody else's project. What a user says was uploaded
-- lies in their own folder, since the file goes with the project: nobody removes what is not theirs, on no way round
-- that a worker could read into a path (.., %2e, a backslash), and no folder.

do $$
begin
  if not credits_private.keeps_policies('public.projects') then
    create policy "users read their own projects"
      on public.projects
      for select
      to authenticated
      using (user_id = (select auth.uid()));

    create policy "users make their own projects"
      on public.projects
      for insert
      to authenticated
      with check (
        user_id = (select auth.uid())
        and (
          source_image_path is null
          or starts_with(source_image_path, (select auth.uid())::text || '/')
          and source_image_path !~ '/[.]{1,2}(/|$)|[%\\]|/$'
        )
      );

    create policy "users change their own projects"
      on public.projects
      for update
      to authenticated
      using (user_id = (select auth.uid()))
      with check (user_id = (select auth.uid()));

    create policy "users delete their own projects"
      on public.projects
      for delete
      to authenticated
      using (user_id = (select auth.uid()));

    create policy "services keep every project"
      on public.projects
      for all
      to service_role
      using (true)
      with check (true);
  end if;
end;
$$;

do $$
begin
  if not credits_private.keeps_policies('public.project_layers') then
    create policy "users keep the layers of their own projects"
      on public.project_layers
      for all
      to authenticated
      using (exists (select from public.projects as p where p.id = project_id and p.user_id = (select auth.uid())))
      with check (exists (select from public.projects as p where p.id = project_id and p.user_id = (select auth.uid())));

    create policy "services keep every layer"
      on public.project_layers
      for all
      to service_role
      using (true)
      with check (true);
  end if;
end;
$$;

do $$
begin
  if not credits_private.keeps_policies('public.exports') then
    create policy "users read the exports of their own projects"
      on public.exports
      for select
      to authenticated
      using (exists (select from public.projects as p where p.id = project_id and p.user_id = (select auth.uid())));

    create policy "users delete the exports of their own projects"
      on public.exports
      for delete
      to authenticated
      using (exists (select from public.projects as p where p.id = project_id and p.user_id = (select auth.uid())));

    create policy "services keep every export"
      on public.exports
      for all
      to service_role
      using (true)
      with check (true);
  end if;
end;
$$;
-- end

-- check: every table of the app has a policy
do $$
begin
  if exists (
    select
    from unnest(array['profiles', 'projects', 'project_layers', 'exports']) as t (name)
    where not credits_private.keeps_policies('public.' || t.name)
      and not exists (select from pg_catalog.pg_policies as p where p.schemaname = 'public' and p.tablename = t.name)
  ) then
    raise exception 'a table of the app has no policy';
  end if;
end;
$$;
