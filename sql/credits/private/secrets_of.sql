-- secrets_of: the secrets of a name that are valid now, the rolled ones in their overlap included.

create or replace function credits_private.secrets_of(
  p_name text
)
  returns text[]
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  return array(
    select s.value
    from credits_private.secrets as s
    where s.name = p_name and (s.valid_until is null or s.valid_until > v_now)
    order by s.added_at
  );
end;
$$;

comment on function credits_private.secrets_of(text) is
  'The valid secrets of a name, none or several.';

revoke all on function credits_private.secrets_of(text) from public, anon, authenticated, service_role;
