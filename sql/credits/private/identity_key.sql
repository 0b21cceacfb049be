-- identity_key: the secret under which people are hashed, ready for use.
--
-- Made with the database, never set and never shown. The oldest counts: rows that are restored into a database which was
-- pushed anew bring theirs.

create or replace function credits_private.identity_key()
  returns bytea[]
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return (
    select credits_private.hmac_pads(decode(s.value, 'hex'))
    from credits_private.secrets as s
    where s.name = 'identity_key'
    order by s.added_at
    limit 1
  );
end;
$$;

comment on function credits_private.identity_key() is
  'The secret identity_key, as hmac_pads.';

revoke all on function credits_private.identity_key() from public, anon, authenticated, service_role;
