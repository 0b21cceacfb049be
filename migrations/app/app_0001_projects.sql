-- The app track: profiles, projects, layers and exports, and an export for a credit.
--
-- Takes what is there already, with the columns that it lacks. Locks of auth.users come next.
--
-- depends: 0003_open_existing_accounts

-- check: every table of the app has row level security
do $$
begin
  if exists (
    select
    from pg_catalog.pg_class as c
    where c.oid = any (array['public.profiles', 'public.projects', 'public.project_layers', 'public.exports']::regclass[])
      and not c.relrowsecurity
  ) then
    raise exception 'a table of the app has no row level security';
  end if;
end;
$$;
