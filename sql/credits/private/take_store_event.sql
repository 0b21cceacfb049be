-- take_store_event: stores what a provider sent, and does what it says.
--
-- The engine of process_*_event and of the webhooks. Stored in the same call whatever the effect did, so the store is told
-- that it may forget. An event that was done is answered from the inbox; one that was not is tried again. With p_deferred it
-- is only stored: a server that commits the body first loses nothing if it dies over the effect.

create or replace function credits_private.take_store_event(
  p_provider text,
  p_body json,
  p_deferred boolean
)
  returns public.store_event
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_document pg_catalog.jsonb := credits_private.read_json(p_body);
  v_head pg_catalog.jsonb := case p_provider when 'revenuecat' then v_document -> 'event' else v_document end;
  v_event credits_private.store_events;
  v_id pg_catalog.text;
begin
  if jsonb_typeof(v_head -> 'id') = 'string' and length(v_head ->> 'id') between 1 and 255 then
    v_id := v_head ->> 'id';
  else
    v_id := 'sha256:' || encode(sha256(convert_to(p_body::pg_catalog.text, 'UTF8')), 'hex');
  end if;
  select e.* into v_event
  from credits_private.store_events as e
  where e.provider = p_provider and e.event_id = v_id;
  if v_event.state in ('processed', 'ignored') or v_event.state is not null and p_deferred then
    return credits_private.show_store_event(v_event);
  end if;
  if v_event.state is null then
    v_event.provider := p_provider;
    v_event.event_id := v_id;
    v_event.type := left(case when jsonb_typeof(v_head -> 'type') = 'string' then v_head ->> 'type' end, 255);
    v_event.state := 'pending';
    v_event.details := '{}';
    v_event.attempts := 0;
    v_event.received_at := credits_private.now();
    v_event.body := p_body;
  end if;
  if p_deferred then
    v_event.retry_at := v_event.received_at;
    perform credits_private.name_store_event(v_event, '{}');
  else
    v_event := credits_private.attempt_store_event(v_event, v_document);
  end if;
  return credits_private.show_store_event(credits_private.save_store_event(v_event));
end;
$$;

comment on function credits_private.take_store_event(text, json, boolean) is
  'Stores an event, does what it says, and returns it. The caller has checked the body.';

revoke all on function credits_private.take_store_event(text, json, boolean) from public, anon, authenticated, service_role;
