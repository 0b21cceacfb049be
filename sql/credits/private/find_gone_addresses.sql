-- find_gone_addresses: which of these are addresses of somebody who has left, and of nobody who is here?
--
-- A late event is kept without them. That an event carries an address decides nothing else: anybody may pay with it.

create or replace function credits_private.find_gone_addresses(p_names text[])
  returns text[]
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_key pg_catalog.bytea[] := credits_private.identity_key();
  v_gone pg_catalog.text[] := array(
    select n.name
    from unnest(p_names) as n (name)
    join credits_private.closed_identities as c
      on c.identity_hash = case when n.name like '%@%' then credits_private.identity_hash('address', n.name, v_key) end
  );
begin
  if v_gone = '{}' then
    return v_gone;  -- nearly always: auth.users need not be read
  end if;
  return array(
    select n.name
    from unnest(v_gone) as n (name)
    where not exists (select from auth.users as u where lower(u.email) = n.name and u.deleted_at is null)
  );
end;
$$;

comment on function credits_private.find_gone_addresses(text[]) is
  'Those of these names that are addresses, in lowercase, which only deleted users had.';

revoke all on function credits_private.find_gone_addresses(text[]) from public, anon, authenticated, service_role;
