-- Looks at the rows that were there before, now that new ones are looked at as they come, and makes missing profiles.
--
-- depends: app_0002_join_auth

-- check: what belongs to a user goes with them
do $$
begin
  if 4 <> (
    select count(*)
    from pg_catalog.pg_constraint as k
    join pg_catalog.pg_attribute as a on a.attrelid = k.conrelid and k.conkey = array[a.attnum]
    where k.contype = 'f'
      and k.confdeltype = 'c'
      and (k.conrelid, a.attname) in (
        ('public.profiles'::regclass, 'id'), ('public.projects'::regclass, 'user_id'),
        ('public.project_layers'::regclass, 'project_id'), ('public.exports'::regclass, 'project_id')
      )
  ) then
    raise exception 'a reference of the app is missing';
  end if;
end;
$$;
