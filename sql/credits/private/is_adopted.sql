-- is_adopted: was this relation here before credits-db?

create or replace function credits_private.is_adopted(p_relation text)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return exists (select from credits_private.adopted_relations as r where r.relation = p_relation);
end;
$$;

comment on function credits_private.is_adopted(text) is
  'Whether a relation, named with its schema, is the host''s own and not credits-db''s.';

revoke all on function credits_private.is_adopted(text) from public, anon, authenticated, service_role;
