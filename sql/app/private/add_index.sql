-- add_index: an index that a query of the app needs, unless the table has one that serves it.
--
-- For the files of tables. An index serves that is whole (no predicate) and begins with the same columns, whichever way
-- they are sorted: it can be read backwards.

create or replace function credits_private.add_index(
  p_table regclass,
  p_columns text
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_names pg_catalog.text[] := array(
    select split_part(btrim(c.name), ' ', 1)
    from string_to_table(p_columns, ',') with ordinality as c (name, place)
    order by c.place
  );
begin
  if not exists (
    select
    from pg_catalog.pg_index as i
    where i.indrelid = p_table
      and i.indisvalid
      and i.indpred is null
      and v_names = array(
        select a.attname::pg_catalog.text
        from unnest(i.indkey) with ordinality as k (number, place)
        join pg_catalog.pg_attribute as a on a.attrelid = p_table and a.attnum = k.number
        where k.place <= cardinality(v_names)
        order by k.place
      )
  ) then
    execute format('create index on %s (%s)', p_table, p_columns);
  end if;
end;
$$;

comment on function credits_private.add_index(regclass, text) is
  'Makes an index over columns of a table, unless there is one that begins with them.';

revoke all on function credits_private.add_index(regclass, text) from public, anon, authenticated, service_role;
