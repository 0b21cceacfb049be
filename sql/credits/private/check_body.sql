-- check_body: is there a body, and is it of a size that an event has? Asked before any work is done on it.

create or replace function credits_private.check_body(
  p_body json
)
  returns void
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  if p_body is null then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'body', 'value', null),
      hint = 'The body is what the provider sent, as JSON.';
  end if;
  if octet_length(p_body::pg_catalog.text) > 1048576 then
    raise exception using
      errcode = 'PT413',
      message = 'payload_too_large',
      detail = json_build_object('bytes', octet_length(p_body::pg_catalog.text)),
      hint = 'An event has at most 1 MiB.';
  end if;
end;
$$;

comment on function credits_private.check_body(json) is
  'Raises PT413 payload_too_large over 1 MiB, and 22023 invalid_argument for null.';

revoke all on function credits_private.check_body(json) from public, anon, authenticated, service_role;
