-- remove_adopted: removes what adopted tables have yet of a user who leaves.
--
-- Most rows go by their references (join_adopted); this is for tables that have none, and for a soft deletion, which leaves
-- the row of auth.users.

create or replace function credits_private.remove_adopted(p_user_id uuid)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_data credits_private.personal_data;
begin
  for v_data in
    select d.*
    from credits_private.personal_data as d
    join credits_private.adopted_relations as r on r.relation = d.relation
    where to_regclass(d.relation) is not null
    order by d.relation
  loop
    execute format('delete from %s as t where %s', to_regclass(v_data.relation), v_data.predicate)
    using p_user_id, null::pg_catalog.text;
  end loop;
end;
$$;

comment on function credits_private.remove_adopted(uuid) is
  'Deletes the rows of a user in adopted tables.';

revoke all on function credits_private.remove_adopted(uuid) from public, anon, authenticated, service_role;
