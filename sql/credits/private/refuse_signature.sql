-- refuse_signature: the one answer to every call that does not prove where it comes from.

create or replace function credits_private.refuse_signature()
  returns void
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  raise exception using
    errcode = 'PT401',
    message = 'invalid_signature',
    detail = json_build_object(),
    hint = 'The signature is missing, wrong or too old, or no secret is set: credits-db secret set.';
end;
$$;

comment on function credits_private.refuse_signature() is
  'Raises PT401 invalid_signature.';

revoke all on function credits_private.refuse_signature() from public, anon, authenticated, service_role;
