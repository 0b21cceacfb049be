-- Looks at the rows that were there before the references of the app were, without stopping who reads or writes them.
-- Where some are of users or projects who are gone, they stay, and the reference holds for all others.

do $$
declare
  v_key record;
begin
  for v_key in
    select k.conrelid::regclass as relation, k.conname as name
    from pg_catalog.pg_constraint as k
    join pg_catalog.pg_attribute as a on a.attrelid = k.conrelid and k.conkey = array[a.attnum]
    where k.contype = 'f'
      and not k.convalidated
      and (k.conrelid, a.attname) in (
        ('public.profiles'::regclass, 'id'), ('public.projects'::regclass, 'user_id'),
        ('public.project_layers'::regclass, 'project_id'), ('public.exports'::regclass, 'project_id')
      )
    order by k.conrelid, k.conname
  loop
    begin
      execute format('alter table %s validate constraint %I', v_key.relation, v_key.name);
    exception
      when foreign_key_violation then
        raise notice 'credits-db: % has rows of users or projects who are gone; they stay', v_key.relation;
    end;
  end loop;
end;
$$;
