-- lot_allocations: which lots a movement of the ledger took from, or gave back to.
--
-- A refund finds here where the credits of its consumption came from, so that they go back under their own expiry.
-- What a consumption did not take from lots came from credits that never expire; a refund says so with lot 0, so
-- that the rows of an origin beyond its own add up to what was given back.

create table credits_private.lot_allocations (
  user_id uuid not null,
  origin_seq bigint not null,
  seq bigint not null,
  lot_seq bigint not null,
  amount bigint not null,
  constraint lot_allocations_pkey primary key (user_id, origin_seq, seq, lot_seq)
);

comment on table credits_private.lot_allocations is
  'Which lots each movement of the ledger took from, or gave back to.';
comment on column credits_private.lot_allocations.user_id is
  'Whose credits.';
comment on column credits_private.lot_allocations.origin_seq is
  'The movement that this belongs to: of a refund its consumption, of a clawback or its reversal the purchase, else seq itself; 0 where a new lot pays a debt, which nothing undoes.';
comment on column credits_private.lot_allocations.seq is
  'The ledger row that moved them.';
comment on column credits_private.lot_allocations.lot_seq is
  'The lot, by the ledger row that granted it; 0 for credits that never expire.';
comment on column credits_private.lot_allocations.amount is
  'Credits: negative taken from the lot, positive given back.';

revoke all on table credits_private.lot_allocations from public, anon, authenticated, service_role;
