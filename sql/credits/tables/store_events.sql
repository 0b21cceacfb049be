-- store_events: the inbox, every event of a provider as it came.
--
-- The body is kept whatever its effect did, so nothing is lost and anything can be run again (reprocess_store_event).
-- An event that did not do its work says why. json, not jsonb: the text to the last byte. When its user goes, the body
-- goes too and leaves its SHA-256 (forget_user).

create table credits_private.store_events (
  provider text not null,
  event_id text not null,
  type text,
  state public.store_event_state not null,
  reason text,
  details jsonb not null default '{}',
  user_id uuid,
  store text,
  environment text,
  transaction_id text,
  product_id text,
  -- squawk-ignore prefer-bigint-over-int
  attempts integer not null default 0,
  received_at timestamptz not null,
  processed_at timestamptz,
  retry_at timestamptz,
  body json,
  body_sha256 text,
  constraint store_events_pkey primary key (provider, event_id)
);

create index store_events_user_id on credits_private.store_events (user_id) where user_id is not null;
create index store_events_retry_at on credits_private.store_events (retry_at) where retry_at is not null;

comment on table credits_private.store_events is
  'The inbox: every event of a provider as it came, and what became of it.';
comment on column credits_private.store_events.provider is
  'revenuecat or stripe.';
comment on column credits_private.store_events.event_id is
  'The provider''s id of it, or sha256: and the hash of the body where it has none.';
comment on column credits_private.store_events.type is
  'The provider''s word for it.';
comment on column credits_private.store_events.state is
  'What became of it.';
comment on column credits_private.store_events.reason is
  'Why it is in this state, as a token.';
comment on column credits_private.store_events.details is
  'The values that the reason is about.';
comment on column credits_private.store_events.user_id is
  'Whose event it is, once that is known.';
comment on column credits_private.store_events.store is
  'Where the money was paid.';
comment on column credits_private.store_events.environment is
  'PRODUCTION or SANDBOX.';
comment on column credits_private.store_events.transaction_id is
  'The transaction that it is about.';
comment on column credits_private.store_events.product_id is
  'The product that it is about.';
comment on column credits_private.store_events.attempts is
  'How often it was tried.';
comment on column credits_private.store_events.received_at is
  'When it first arrived.';
comment on column credits_private.store_events.processed_at is
  'When it reached its present state.';
comment on column credits_private.store_events.retry_at is
  'When maintenance tries it again; null when it does not.';
comment on column credits_private.store_events.body is
  'The body as it came; null once its user is gone.';
comment on column credits_private.store_events.body_sha256 is
  'SHA-256 of a body that was removed, in hex.';

revoke all on table credits_private.store_events from public, anon, authenticated, service_role;
