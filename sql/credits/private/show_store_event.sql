-- show_store_event: a row of the inbox as callers see it, without the body.

create or replace function credits_private.show_store_event(
  p_event credits_private.store_events
)
  returns public.store_event
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return row(
    p_event.provider, p_event.event_id, p_event.type, p_event.state, p_event.reason, p_event.details, p_event.user_id,
    p_event.store, p_event.environment, p_event.transaction_id, p_event.product_id, p_event.attempts,
    p_event.received_at, p_event.processed_at
  )::public.store_event;
end;
$$;

comment on function credits_private.show_store_event(credits_private.store_events) is
  'An event without its body.';

revoke all on function credits_private.show_store_event(credits_private.store_events) from public, anon, authenticated, service_role;
