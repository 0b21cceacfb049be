-- refuse_shape: says which field of a body is not what the provider documents.

create or replace function credits_private.refuse_shape(
  p_field text
)
  returns void
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  raise exception using
    errcode = '22023',
    message = 'wrong_shape',
    detail = json_build_object('field', p_field),
    hint = 'The body is not of a shape that this provider documents.';
end;
$$;

comment on function credits_private.refuse_shape(text) is
  'Raises 22023 wrong_shape with the field.';

revoke all on function credits_private.refuse_shape(text) from public, anon, authenticated, service_role;
