-- hmac_pads: the two blocks that HMAC makes of a key, for whoever hashes many messages under one.

create or replace function credits_private.hmac_pads(
  p_key bytea
)
  returns bytea[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_key pg_catalog.bytea := case when length(p_key) > 64 then sha256(p_key) else p_key end;
  v_inner pg_catalog.bytea := decode(repeat('36', 64), 'hex');
  v_outer pg_catalog.bytea := decode(repeat('5c', 64), 'hex');
begin
  for v_i in 0 .. length(v_key) - 1 loop
    v_inner := set_byte(v_inner, v_i, get_byte(v_key, v_i) # 54);
    v_outer := set_byte(v_outer, v_i, get_byte(v_key, v_i) # 92);
  end loop;
  return array[v_inner, v_outer];
end;
$$;

comment on function credits_private.hmac_pads(bytea) is
  'The inner and the outer block of a key, 64 bytes each.';

revoke all on function credits_private.hmac_pads(bytea) from public, anon, authenticated, service_role;
