-- outbox: what happened here and somebody outside should act on, until they say that they did.
--
-- Written in the transaction of what happened. A worker claims items for a while (claim_outbox) and removes them
-- when the work is done (ack_outbox); the items of one that died are handed out again. Items about a user go with
-- the account; what outlives it, a file to remove, waits once, and says whose it was until it is done.

create table credits_private.outbox (
  id uuid not null default gen_random_uuid(),
  kind text not null,
  user_id uuid,
  payload jsonb not null,
  -- squawk-ignore prefer-bigint-over-int
  attempts integer not null default 0,
  created_at timestamptz not null,
  claimable_at timestamptz not null,
  constraint outbox_pkey primary key (id)
);

create index outbox_claimable_at on credits_private.outbox (claimable_at);
create index outbox_user_id on credits_private.outbox (user_id) where user_id is not null;
create unique index outbox_path on credits_private.outbox ((payload ->> 'path')) where kind = 'remove_file';

comment on table credits_private.outbox is
  'What happened here and somebody outside should act on, until they say that they did.';
comment on column credits_private.outbox.id is
  'What ack_outbox takes.';
comment on column credits_private.outbox.kind is
  'What to do: low_balance or remove_file.';
comment on column credits_private.outbox.user_id is
  'Whom it is about; null for a file to remove.';
comment on column credits_private.outbox.payload is
  'The figures, by kind (outbox_item).';
comment on column credits_private.outbox.attempts is
  'How often it was claimed.';
comment on column credits_private.outbox.created_at is
  'When it happened.';
comment on column credits_private.outbox.claimable_at is
  'From when it may be claimed: at once, or when the present claim has run out.';

revoke all on table credits_private.outbox from public, anon, authenticated, service_role;
