-- is_user_id: does this name look like the id of a user? Cheaper than a pattern, and every event asks it of each name.

create or replace function credits_private.is_user_id(
  p_name text
)
  returns boolean
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return p_name like '________-____-____-____-____________' and translate(p_name, '0123456789abcdef', '') = '----';
end;
$$;

comment on function credits_private.is_user_id(text) is
  'Whether a name is a UUID in lowercase.';

revoke all on function credits_private.is_user_id(text) from public, anon, authenticated, service_role;
