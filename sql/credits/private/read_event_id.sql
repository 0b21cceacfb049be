-- read_event_id: the id and the type of an event, out of a body that may be anything.
--
-- JSON may hold what no text of Postgres can (a NUL, half a surrogate): then there is no id, and the body's hash serves.

create or replace function credits_private.read_event_id(
  p_provider text,
  p_body json
)
  returns jsonb
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_event pg_catalog.jsonb;
begin
  v_event := p_body::pg_catalog.text::pg_catalog.jsonb;
  if p_provider = 'revenuecat' then
    v_event := v_event -> 'event';
  end if;
  return jsonb_build_object(
    'id', case when jsonb_typeof(v_event -> 'id') = 'string' and length(v_event ->> 'id') between 1 and 255 then v_event -> 'id' end,
    'type', left(case when jsonb_typeof(v_event -> 'type') = 'string' then v_event ->> 'type' end, 255)
  );
exception
  when others then
    return '{}';
end;
$$;

comment on function credits_private.read_event_id(text, json) is
  'The id and the type of an event: {"id": ..., "type": ...}, null where the body has none.';

revoke all on function credits_private.read_event_id(text, json) from public, anon, authenticated, service_role;
