-- store_event: an event of a store and what became of it, without its body.

create type public.store_event as (
  provider text,
  event_id text,
  type text,
  state public.store_event_state,
  reason text,
  details jsonb,
  user_id uuid,
  store text,
  environment text,
  transaction_id text,
  product_id text,
  attempts integer,
  received_at timestamptz,
  processed_at timestamptz
);

comment on type public.store_event is
  'An event of a store and what became of it. The body stays in credits_private.store_events.';
comment on column public.store_event.provider is
  'Who told us: revenuecat or stripe.';
comment on column public.store_event.event_id is
  'The id that the provider gave it, or sha256: and the hash of the body where it has none.';
comment on column public.store_event.type is
  'The provider''s word, for instance INITIAL_PURCHASE or charge.refunded.';
comment on column public.store_event.state is
  'What became of it.';
comment on column public.store_event.reason is
  'Why it is in this state, as a token: unknown_user, unknown_product, wrong_shape, sandbox_denied, ... Null where there is nothing to say.';
comment on column public.store_event.details is
  'The values that the reason is about, a JSON object.';
comment on column public.store_event.user_id is
  'Whose event it is, or null.';
comment on column public.store_event.store is
  'Where the money was paid: app_store, play_store, stripe, ...';
comment on column public.store_event.environment is
  'PRODUCTION or SANDBOX.';
comment on column public.store_event.transaction_id is
  'The store''s name of the transaction.';
comment on column public.store_event.product_id is
  'The store''s name of what was bought.';
comment on column public.store_event.attempts is
  'How often it was tried.';
comment on column public.store_event.received_at is
  'When it first arrived.';
comment on column public.store_event.processed_at is
  'When it reached this state.';

revoke all on type public.store_event from public, anon, authenticated, service_role;
grant usage on type public.store_event to service_role;
