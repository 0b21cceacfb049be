-- read_quantity: how many of a product were bought; metadata of Stripe says it as text.

create or replace function credits_private.read_quantity(
  p_value jsonb
)
  returns integer
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  if p_value is null or p_value = 'null' then
    return 1;
  end if;
  if (p_value #>> '{}' ~ '^[1-9][0-9]{0,5}$') is not true then
    perform credits_private.refuse_shape('quantity');
  end if;
  return (p_value #>> '{}')::integer;
end;
$$;

comment on function credits_private.read_quantity(jsonb) is
  'A quantity from 1 to 999999, 1 where nothing is said. Raises 22023 wrong_shape.';

revoke all on function credits_private.read_quantity(jsonb) from public, anon, authenticated, service_role;
