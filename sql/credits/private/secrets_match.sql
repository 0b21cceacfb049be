-- secrets_match: are two texts equal, in a time that tells nothing about where they differ?
--
-- Compares the hashes, all 32 bytes of them: whoever measures the answer learns neither how many characters were right nor
-- how long the secret is.

create or replace function credits_private.secrets_match(
  p_given text,
  p_expected text
)
  returns boolean
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_given pg_catalog.bytea := sha256(convert_to(p_given, 'UTF8'));
  v_expected pg_catalog.bytea := sha256(convert_to(p_expected, 'UTF8'));
  v_difference integer := 0;
begin
  if p_given is null or p_expected is null then
    return false;
  end if;
  for v_i in 0 .. 31 loop
    v_difference := v_difference | (get_byte(v_given, v_i) # get_byte(v_expected, v_i));
  end loop;
  return v_difference = 0;
end;
$$;

comment on function credits_private.secrets_match(text, text) is
  'Whether two texts are equal, compared in constant time; false for null.';

revoke all on function credits_private.secrets_match(text, text) from public, anon, authenticated, service_role;
