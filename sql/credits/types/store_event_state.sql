-- store_event_state: what became of an event of a store.

create type public.store_event_state as enum (
  'pending',
  'parked',
  'failed',
  'ignored',
  'processed'
);

comment on type public.store_event_state is
  'pending: stored, to be tried again. parked: waits for its user. failed: waits for an operator, the reason says for what. ignored: changes nothing. processed: done.';

revoke all on type public.store_event_state from public, anon, authenticated, service_role;
grant usage on type public.store_event_state to service_role;
