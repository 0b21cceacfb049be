-- scrub_body: a body without some words for people: zeros stand where they stood.
--
-- For an event that is somebody else's too. Ids and addresses are found within texts and in either case; names of
-- customers only where they are a whole text, since an app may call somebody 42.

create or replace function credits_private.scrub_body(
  p_body json,
  p_words text[]
)
  returns json
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_body pg_catalog.text := coalesce(credits_private.read_json(p_body)::pg_catalog.text, p_body::pg_catalog.text);
  v_nobody constant pg_catalog.text := '00000000-0000-0000-0000-000000000000';
  v_word pg_catalog.text;
begin
  foreach v_word in array p_words loop
    if v_word like '%@%' or v_word like '________-____-____-____-____________' then
      v_word := to_json(v_word)::pg_catalog.text;
      v_body := regexp_replace(v_body, '***=' || substr(v_word, 2, length(v_word) - 2), v_nobody, 'gi');
    else
      v_body := replace(v_body, to_json(v_word)::pg_catalog.text, to_json(v_nobody)::pg_catalog.text);
    end if;
  end loop;
  return v_body::pg_catalog.json;
end;
$$;

comment on function credits_private.scrub_body(json, text[]) is
  'A body in which ids, addresses and names are replaced by zeros.';

revoke all on function credits_private.scrub_body(json, text[]) from public, anon, authenticated, service_role;
