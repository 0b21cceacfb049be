-- bonus_identities: by what a user is known again who comes for a second signup bonus, none to two hashes.

create or replace function credits_private.bonus_identities(
  p_email text,
  p_phone text
)
  returns bytea[]
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_key pg_catalog.bytea[] := credits_private.identity_key();
begin
  return array_remove(
    array[
      credits_private.identity_hash('address', p_email, v_key), credits_private.identity_hash('phone', p_phone, v_key)
    ],
    null
  );
end;
$$;

comment on function credits_private.bonus_identities(text, text) is
  'Hashes of an address and a phone number, as in bonus_claims.';

revoke all on function credits_private.bonus_identities(text, text) from public, anon, authenticated, service_role;
