-- join_adopted: rows of before go with their user.
--
-- Called by the migration that joins credits-db to auth.users. The tables of before that credits-db took over name users;
-- when one is deleted, nothing may stand in the way: a reference that would, and any of a table that moved, becomes ON
-- DELETE CASCADE, whatever it was called. What has no reference is removed by remove_adopted.

create or replace function credits_private.join_adopted()
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_table pg_catalog.regclass;
  v_column pg_catalog.name;
  v_target pg_catalog.regclass;
begin
  for v_table, v_column in
    select t.oid, a.attname
    from credits_private.adopted_relations as r
    cross join to_regclass(r.relation) as t (oid)
    join pg_catalog.pg_attribute as a on a.attrelid = t.oid and a.attnum > 0 and a.atttypid = 'pg_catalog.uuid'::pg_catalog.regtype
    where a.attname = 'user_id'
      or r.relation in ('public.users', 'public.profiles') and a.attname = 'id' and not exists (
        select from pg_catalog.pg_attribute as b where b.attrelid = t.oid and b.attname = 'user_id' and not b.attisdropped
      )
    order by t.oid
  loop
    if starts_with(v_table::pg_catalog.text, 'credits_before.') then
      perform credits_private.repoint(v_table, v_column, 'auth.users'::pg_catalog.regclass);
    else
      for v_target in
        select k.confrelid::pg_catalog.regclass
        from pg_catalog.pg_constraint as k
        join pg_catalog.pg_attribute as a on a.attrelid = k.conrelid and array[a.attnum] = k.conkey
        join pg_catalog.pg_attribute as b on b.attrelid = k.confrelid and array[b.attnum] = k.confkey
        where k.conrelid = v_table
          and k.contype = 'f'
          and k.confdeltype in ('a', 'r')  -- what a host lets go in its own way goes in that way
          and a.attname = v_column
          and b.attname = 'id'
        limit 1
      loop
        perform credits_private.repoint(v_table, v_column, v_target);
      end loop;
    end if;
    insert into credits_private.personal_data (relation, predicate)
    select r.relation, format('t.%I = $1', v_column)
    from credits_private.adopted_relations as r
    where to_regclass(r.relation) = v_table
    on conflict (relation) do nothing;
  end loop;
end;
$$;

comment on function credits_private.join_adopted() is
  'Lets the rows of adopted tables go with their user.';

revoke all on function credits_private.join_adopted() from public, anon, authenticated, service_role;
