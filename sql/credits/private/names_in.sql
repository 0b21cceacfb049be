-- names_in: ids of users and addresses, anywhere in a body, in lowercase.

create or replace function credits_private.names_in(
  p_body json
)
  returns text[]
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return array(
    select distinct rtrim(lower(m.match[1]), '.')
    from regexp_matches(
      coalesce(credits_private.read_json(p_body)::pg_catalog.text, p_body::pg_catalog.text),
      '([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[^\s"\\<>(),:;@]+@[^\s"\\<>(),:;@]+)', 'g'
    ) as m (match)
    where length(m.match[1]) <= 255
  );
end;
$$;

comment on function credits_private.names_in(json) is
  'All ids of users and addresses in a body.';

revoke all on function credits_private.names_in(json) from public, anon, authenticated, service_role;
