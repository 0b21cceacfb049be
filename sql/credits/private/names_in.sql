-- names_in: ids of users and addresses, anywhere in a body, in lowercase.
--
-- Reads the text as it came: as jsonb, a few bytes of numbers print to megabytes. Only texts with escapes are read twice.

create or replace function credits_private.names_in(
  p_body json
)
  returns text[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_text pg_catalog.text := p_body::pg_catalog.text;
begin
  if strpos(v_text, '\u') > 0 then
    select concat_ws(' ', v_text, string_agg(s.text #>> '{}', ' '))
    into v_text
    from jsonb_path_query(credits_private.read_json(p_body), '$.** ? (@.type() == "string")') as s (text);
  end if;
  return array(
    select distinct rtrim(lower(m.match[1]), '.')
    from regexp_matches(
      v_text,
      '([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[^\s"\\<>(),:;@]+@[^\s"\\<>(),:;@]+)', 'g'
    ) as m (match)
    where length(m.match[1]) <= 255
  );
end;
$$;

comment on function credits_private.names_in(json) is
  'All ids of users and addresses in a body.';

revoke all on function credits_private.names_in(json) from public, anon, authenticated, service_role;
