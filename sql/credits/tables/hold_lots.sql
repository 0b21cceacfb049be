-- hold_lots: what active holds have taken of lots.
--
-- Written when the hold is made, soonest expiry first, and gone when it ends. The part of a hold that stands in no
-- lot here is covered by credits that never expire, or by nothing after a clawback.

create table credits_private.hold_lots (
  user_id uuid not null,
  hold_id uuid not null,
  lot_seq bigint not null,
  amount bigint not null,
  constraint hold_lots_pkey primary key (user_id, hold_id, lot_seq),
  constraint hold_lots_amount_positive check (amount > 0)
);

comment on table credits_private.hold_lots is
  'What active holds have taken of lots.';
comment on column credits_private.hold_lots.user_id is
  'Whose credits.';
comment on column credits_private.hold_lots.hold_id is
  'The hold.';
comment on column credits_private.hold_lots.lot_seq is
  'The lot.';
comment on column credits_private.hold_lots.amount is
  'Credits of the lot that the hold has.';

revoke all on table credits_private.hold_lots from public, anon, authenticated, service_role;
