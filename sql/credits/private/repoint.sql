-- repoint: a column refers to a table, and its row goes with the one that it refers to.
--
-- For the files of references: whatever foreign key the column had, under whatever name, makes room, unless it is
-- this one already. NOT VALID, so that the rows which are there are not looked at under the lock: a later migration
-- validates them.

create or replace function credits_private.repoint(
  p_table regclass,
  p_column name,
  p_target regclass
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_key pg_catalog.record;
  v_found boolean := false::boolean;
begin
  for v_key in
    select k.conname as key_name, k.confrelid = p_target and k.confdeltype = 'c' as fits
    from pg_catalog.pg_constraint as k
    join pg_catalog.pg_attribute as a on a.attrelid = k.conrelid and k.conkey = array[a.attnum]
    where k.conrelid = p_table and k.contype = 'f' and a.attname = p_column
    order by k.conname
  loop
    if v_key.fits and not v_found then
      v_found := true;
    else
      execute format('alter table %s drop constraint %I', p_table, v_key.key_name);
    end if;
  end loop;
  if not v_found then
    execute format(
      'alter table %s add foreign key (%I) references %s (id) on delete cascade not valid', p_table, p_column, p_target
    );
  end if;
end;
$$;

comment on function credits_private.repoint(regclass, name, regclass) is
  'Makes the one foreign key of a column lead to the id of a table, on delete cascade. Existing rows are not looked at.';

revoke all on function credits_private.repoint(regclass, name, regclass) from public, anon, authenticated, service_role;
