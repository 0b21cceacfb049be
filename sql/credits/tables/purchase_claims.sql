-- purchase_claims: whose a transaction of a store is, once for the whole database.
--
-- Taken before anything is credited, and the lock under which all that is known of a transaction is put together.
-- It may come before its user: a refund can arrive first. Stripe has several names for one payment; all but one are
-- rows that lead to it (alias_of). When an account goes its claims stay, closed and without its name, or buying,
-- leaving and restoring would credit twice.

create table credits_private.purchase_claims (
  store text not null,
  environment text not null,
  transaction_id text not null,
  alias_of text,
  user_id uuid,
  source text,
  closed_account_id uuid,
  claimed_at timestamptz,
  entitled_user_id uuid,
  looks bigint not null default 0,
  constraint purchase_claims_pkey primary key (store, environment, transaction_id)
);

create index purchase_claims_user_id on credits_private.purchase_claims (user_id) where user_id is not null;
create index purchase_claims_entitled_user_id on credits_private.purchase_claims (entitled_user_id)
  where entitled_user_id is not null;

comment on table credits_private.purchase_claims is
  'Whose a transaction of a store is, once for the whole database. Outlives the account, without its name.';
comment on column credits_private.purchase_claims.store is
  'Where the money was paid.';
comment on column credits_private.purchase_claims.environment is
  'PRODUCTION or SANDBOX.';
comment on column credits_private.purchase_claims.transaction_id is
  'The store''s name of the transaction.';
comment on column credits_private.purchase_claims.alias_of is
  'The transaction that this is another name of; null for the name that counts.';
comment on column credits_private.purchase_claims.user_id is
  'Who has it; null before anybody has, and after the account was closed.';
comment on column credits_private.purchase_claims.source is
  'Who told us of the payment first: revenuecat, manual, or the kind of Stripe''s object. What another source names in the same transaction is the same purchase, under whatever product name.';
comment on column credits_private.purchase_claims.closed_account_id is
  'The account that had it and is gone, as in closed_accounts: nobody else gets its credits. Null while it is open.';
comment on column credits_private.purchase_claims.claimed_at is
  'When it was claimed.';
comment on column credits_private.purchase_claims.entitled_user_id is
  'Who has its entitlements after a transfer; null for who claimed it, and the id of zeros once that account is gone.';
comment on column credits_private.purchase_claims.looks is
  'How often it was locked to be looked at. Locking writes, so that a transaction with an older snapshot fails (40001) and does not decide on what it cannot see.';

revoke all on table credits_private.purchase_claims from public, anon, authenticated, service_role;
