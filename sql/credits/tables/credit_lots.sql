-- credit_lots: credits that expire, one row for each grant that does.
--
-- Credits that never expire have no row: they are what is left of the balance. remaining is granted and what
-- lot_allocations and hold_lots took and gave back (verify_ledger proves it). A spend changes remaining alone, which
-- no index knows, so that the update stays on its page. Rows stay for ever: a refund may come back to an expired lot.

create table credits_private.credit_lots (
  user_id uuid not null,
  seq bigint not null,
  granted bigint not null,
  remaining bigint not null,
  expires_at timestamptz not null,
  expired_at timestamptz,
  constraint credit_lots_pkey primary key (user_id, seq),
  constraint credit_lots_remaining_in_range check (remaining >= 0 and remaining <= granted)
)
with (fillfactor = 90);

create index credit_lots_open on credits_private.credit_lots (user_id, expires_at, seq) where expired_at is null;

comment on table credits_private.credit_lots is
  'Credits that expire, one row for each grant that does; spent soonest expiry first.';
comment on column credits_private.credit_lots.user_id is
  'Whose credits.';
comment on column credits_private.credit_lots.seq is
  'The ledger row that granted them.';
comment on column credits_private.credit_lots.granted is
  'Credits at the beginning: the amount of that row.';
comment on column credits_private.credit_lots.remaining is
  'Credits that are neither spent nor held nor expired.';
comment on column credits_private.credit_lots.expires_at is
  'The instant from which they cannot be spent.';
comment on column credits_private.credit_lots.expired_at is
  'When the expiry was written to the ledger; null before.';

revoke all on table credits_private.credit_lots from public, anon, authenticated, service_role;
