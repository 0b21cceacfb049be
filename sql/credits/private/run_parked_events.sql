-- run_parked_events: somebody has appeared; do what waited for them.
--
-- Called by a sign-up with the id of the new user, and when an event teaches a new name. The oldest come first, a hundred
-- at a time; maintenance does the rest. Events that were done before there was a user come too: they may teach names.

create or replace function credits_private.run_parked_events(
  p_names text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event pg_catalog.record;
begin
  for v_event in
    select e.provider, e.event_id
    from credits_private.store_events as e
    where (e.provider, e.event_id) in (
        select p.provider, p.event_id from credits_private.store_event_names as p where p.name = any (p_names)
      )
      and (e.state = 'parked' or e.user_id is null)
    order by e.received_at, e.provider, e.event_id
    limit 100
  loop
    perform credits_private.run_store_event(v_event.provider, v_event.event_id);
  end loop;
end;
$$;

comment on function credits_private.run_parked_events(text[]) is
  'Runs the events that are parked under these names.';

revoke all on function credits_private.run_parked_events(text[]) from public, anon, authenticated, service_role;
