-- read_json: a body as jsonb, or null where it holds what Postgres has no value for.
--
-- JSON may name a NUL, half a surrogate, or a number of a million digits: that is no reason to lose the event.

create or replace function credits_private.read_json(
  p_body json
)
  returns jsonb
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return p_body::pg_catalog.text::pg_catalog.jsonb;
exception
  when others then
    return null;
end;
$$;

comment on function credits_private.read_json(json) is
  'A body as jsonb, null where that cannot be.';

revoke all on function credits_private.read_json(json) from public, anon, authenticated, service_role;
