-- What joins the app to auth.users: the references, the trigger for new users, the policies.
--
-- Short, since it locks auth.users, and on Supabase a policy locks all of auth, until it ends.
--
-- depends: app_0001_projects

-- check: every table of the app has a policy
do $$
begin
  if exists (
    select
    from unnest(array['profiles', 'projects', 'project_layers', 'exports']) as t (name)
    where not exists (
      select from pg_catalog.pg_policies as p where p.schemaname = 'public' and p.tablename = t.name
    )
  ) then
    raise exception 'a table of the app has no policy';
  end if;
end;
$$;
