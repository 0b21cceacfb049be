-- save_store_event: writes an event and its state; what is done stays done.
--
-- Two deliveries of one event may both have tried it, the second in vain or with nothing left to do: the row keeps the better end.

create or replace function credits_private.save_store_event(
  p_event credits_private.store_events
)
  returns credits_private.store_events
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event credits_private.store_events;
begin
  insert into credits_private.store_events as e (
    provider, event_id, type, state, reason, details, user_id, store, environment, transaction_id, product_id, attempts,
    received_at, processed_at, retry_at, body, body_sha256
  )
  values (
    p_event.provider, p_event.event_id, p_event.type, p_event.state, p_event.reason, p_event.details, p_event.user_id,
    p_event.store, p_event.environment, p_event.transaction_id, p_event.product_id, p_event.attempts,
    p_event.received_at, p_event.processed_at, p_event.retry_at, p_event.body, p_event.body_sha256
  )
  on conflict (provider, event_id) do update
  set
    state = excluded.state,
    reason = excluded.reason,
    details = excluded.details,
    user_id = excluded.user_id,
    store = excluded.store,
    environment = excluded.environment,
    transaction_id = excluded.transaction_id,
    product_id = excluded.product_id,
    attempts = excluded.attempts,
    processed_at = excluded.processed_at,
    retry_at = excluded.retry_at,
    body = case when excluded.body_sha256 is null then e.body end,
    body_sha256 = coalesce(excluded.body_sha256, e.body_sha256)
  where e.state <> 'processed' or excluded.state = 'processed'
  returning e.* into v_event;
  if not found then
    select e.* into v_event
    from credits_private.store_events as e
    where e.provider = p_event.provider and e.event_id = p_event.event_id;
  end if;
  return v_event;
end;
$$;

comment on function credits_private.save_store_event(credits_private.store_events) is
  'Writes an event with its state and returns the row.';

revoke all on function credits_private.save_store_event(credits_private.store_events) from public, anon, authenticated, service_role;
