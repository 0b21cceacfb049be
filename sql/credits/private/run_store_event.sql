-- run_store_event: tries an event of the inbox once more.

create or replace function credits_private.run_store_event(
  p_provider text,
  p_event_id text
)
  returns public.store_event
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event credits_private.store_events;
begin
  select e.* into v_event
  from credits_private.store_events as e
  where e.provider = p_provider and e.event_id = p_event_id;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'event_not_found',
      detail = json_build_object('provider', p_provider, 'event_id', p_event_id),
      hint = 'There is no such event: credits-db events list.';
  end if;
  if v_event.body is not null then
    v_event := credits_private.save_store_event(
      credits_private.attempt_store_event(v_event, credits_private.read_json(v_event.body))
    );
  end if;
  return credits_private.show_store_event(v_event);
end;
$$;

comment on function credits_private.run_store_event(text, text) is
  'Tries a stored event again and returns it. Raises PT404 event_not_found.';

revoke all on function credits_private.run_store_event(text, text) from public, anon, authenticated, service_role;
