-- keeps_policies: has the host said already who may do what with this table?
--
-- For the files of policies: they add nothing to those of a table that had row level security before credits-db.

create or replace function credits_private.keeps_policies(p_relation text)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return exists (
    select from credits_private.adopted_relations as r where r.relation = p_relation and r.had_policies
  );
end;
$$;

comment on function credits_private.keeps_policies(text) is
  'Whether a relation, named with its schema, was here before and had row level security.';

revoke all on function credits_private.keeps_policies(text) from public, anon, authenticated, service_role;
