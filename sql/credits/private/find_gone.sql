-- find_gone: which of these names are of somebody who has left?
--
-- Ids of users, or a provider's names for them. A name that somebody else has by now (store_customers) is theirs.

create or replace function credits_private.find_gone(
  p_provider text,
  p_names text[]
)
  returns text[]
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_key pg_catalog.bytea[] := credits_private.identity_key();
begin
  return array(
    select distinct n.name
    from unnest(p_names) as n (name)
    join credits_private.closed_identities as c
      on c.identity_hash = case
        when n.name like '________-____-____-____-____________' then credits_private.identity_hash('user', n.name, v_key)
        else credits_private.identity_hash('name', p_provider || ':' || n.name, v_key)
      end
    where not exists (
      select from credits_private.store_customers as s where s.provider = p_provider and s.name = n.name
    )
  );
end;
$$;

comment on function credits_private.find_gone(text, text[]) is
  'Those of these names that a deleted account had.';

revoke all on function credits_private.find_gone(text, text[]) from public, anon, authenticated, service_role;
