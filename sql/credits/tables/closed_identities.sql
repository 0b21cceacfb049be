-- closed_identities: who has left, as keyed hashes.
--
-- The id of every deleted user, their address, and the names that stores had for them (identity_hash). Asked when an
-- account would be opened and when a store's event names nobody who is here, so that nothing late brings somebody back.
-- A day and not an instant, or it would tell which row of closed_accounts is whose.

create table credits_private.closed_identities (
  identity_hash bytea not null,
  closed_at date not null,
  constraint closed_identities_pkey primary key (identity_hash)
);

comment on table credits_private.closed_identities is
  'Who has left: ids of users, addresses and names of customers, as keyed hashes.';
comment on column credits_private.closed_identities.identity_hash is
  'identity_hash of a user, an address or a name.';
comment on column credits_private.closed_identities.closed_at is
  'The day on which the account was deleted, in UTC.';

revoke all on table credits_private.closed_identities from public, anon, authenticated, service_role;
