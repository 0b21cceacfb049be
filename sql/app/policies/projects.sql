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
