-- require_text: a field of a body that must be there, as text.

create or replace function credits_private.require_text(
  p_object jsonb,
  p_field text
)
  returns text
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_value pg_catalog.text := p_object ->> p_field;
begin
  if (jsonb_typeof(p_object -> p_field) in ('string', 'number') and length(v_value) between 1 and 255) is not true then
    perform credits_private.refuse_shape(p_field);
  end if;
  return v_value;
end;
$$;

comment on function credits_private.require_text(jsonb, text) is
  'A field as text of 1 to 255 characters. Raises 22023 wrong_shape.';

revoke all on function credits_private.require_text(jsonb, text) from public, anon, authenticated, service_role;
