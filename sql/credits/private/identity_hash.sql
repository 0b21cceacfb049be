-- identity_hash: who somebody is, in a form that tells nobody.
--
-- HMAC-SHA256 under a secret that never leaves this database: without it an address cannot be guessed from its hash.
-- An address counts without its case, its white space, what stands behind a plus, and the dots that Gmail ignores or
-- that end a domain; a phone number by its digits, 00 in front being a plus. Other letters that mean the same (full
-- width, composed or not) are the same. Whoever hashes many passes the key.

create or replace function credits_private.identity_hash(
  p_kind text,
  p_value text,
  p_key bytea[] default null
)
  returns bytea
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_key pg_catalog.bytea[] := coalesce(p_key, credits_private.identity_key());
  v_value pg_catalog.text := p_value;
begin
  if p_kind in ('address', 'phone') and getdatabaseencoding() = 'UTF8' then
    v_value := normalize(v_value, NFKC);
  end if;
  if p_kind = 'address' then
    v_value := rtrim(regexp_replace(lower(v_value), '[[:space:]]', '', 'g'), '.');
    if strpos(v_value, '+') > 0 then
      v_value := regexp_replace(v_value, '^(\+*[^@+]+)\+[^@]*@', '\1@');
    end if;
    if v_value like '%@gmail.com' or v_value like '%@googlemail.com' then
      v_value := replace(split_part(v_value, '@', 1), '.', '') || '@gmail.com';
    end if;
  elsif p_kind = 'phone' then
    v_value := regexp_replace(regexp_replace(v_value, '[^0-9]', '', 'g'), '^00', '');
  end if;
  return case
    when v_value <> '' then sha256(v_key[2] || sha256(v_key[1] || convert_to(p_kind || ':' || v_value, 'UTF8')))
  end;
end;
$$;

comment on function credits_private.identity_hash(text, text, bytea[]) is
  'A keyed hash of a user (their id), an address, a phone number or a name (provider:name); null for nothing.';

revoke all on function credits_private.identity_hash(text, text, bytea[]) from public, anon, authenticated, service_role;
