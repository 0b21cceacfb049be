-- bonus_claims: which addresses and phone numbers have had a signup bonus, as keyed hashes.
--
-- Written with the bonus (claim_bonus) and never removed: another spelling of an address, an address that was changed,
-- or leaving and coming back brings no second one.

create table credits_private.bonus_claims (
  identity_hash bytea not null,
  claimed_at date not null,
  constraint bonus_claims_pkey primary key (identity_hash)
);

comment on table credits_private.bonus_claims is
  'Addresses and phone numbers that have had a signup bonus, as keyed hashes; they outlive the account.';
comment on column credits_private.bonus_claims.identity_hash is
  'identity_hash of an address or a phone number.';
comment on column credits_private.bonus_claims.claimed_at is
  'The day on which it had the bonus, in UTC.';

revoke all on table credits_private.bonus_claims from public, anon, authenticated, service_role;
