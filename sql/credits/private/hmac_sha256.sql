-- hmac_sha256: a keyed hash (RFC 2104), in plain SQL.
--
-- For is_signed. Supabase has pgcrypto, other servers need not, and sha256 is in the core of Postgres. A test compares it
-- with Python's for keys and messages of every length around the block of 64 bytes.

create or replace function credits_private.hmac_sha256(
  p_key bytea,
  p_message bytea
)
  returns bytea
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
  return sha256(v_outer || sha256(v_inner || p_message));
end;
$$;

comment on function credits_private.hmac_sha256(bytea, bytea) is
  'HMAC-SHA256 of a message, 32 bytes.';

revoke all on function credits_private.hmac_sha256(bytea, bytea) from public, anon, authenticated, service_role;
