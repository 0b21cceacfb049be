-- closed_identities: who has left, as keyed hashes.
--
-- The id of every deleted user, and the names that stores had for them (identity_hash). Asked when an account would be
-- opened and when a store's event names nobody who is here, so that nothing late brings somebody back.

create table credits_private.closed_identities (
  identity_hash bytea not null,
  closed_at timestamptz not null,
  constraint closed_identities_pkey primary key (identity_hash)
);

comment on table credits_private.closed_identities is
  'Who has left: ids of users and names of customers, as keyed hashes.';
comment on column credits_private.closed_identities.identity_hash is
  'identity_hash of a user or a name.';
comment on column credits_private.closed_identities.closed_at is
  'When the account was deleted.';

revoke all on table credits_private.closed_identities from public, anon, authenticated, service_role;
