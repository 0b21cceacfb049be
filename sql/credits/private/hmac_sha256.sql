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
  v_pads pg_catalog.bytea[] := credits_private.hmac_pads(p_key);
begin
  return sha256(v_pads[2] || sha256(v_pads[1] || p_message));
end;
$$;

comment on function credits_private.hmac_sha256(bytea, bytea) is
  'HMAC-SHA256 of a message, 32 bytes.';

revoke all on function credits_private.hmac_sha256(bytea, bytea) from public, anon, authenticated, service_role;
