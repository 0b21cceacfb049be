-- run_due_events: tries the events that are due for another try, the longest waiting first.
--
-- For maintenance. Takes no lock of its own on an event: trying one twice at the same time does no harm.

create or replace function credits_private.run_due_events(
  p_limit integer
)
  returns public.maintenance_report
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_report public.maintenance_report := row(0, 0, 0, 0, 0, 0);
  v_now pg_catalog.timestamptz := credits_private.now();
  v_event pg_catalog.record;
  v_tried public.store_event;
begin
  for v_event in
    select e.provider, e.event_id
    from credits_private.store_events as e
    where e.retry_at <= v_now
    order by e.retry_at, e.provider, e.event_id
    limit p_limit
  loop
    v_tried := credits_private.run_store_event(v_event.provider, v_event.event_id);
    if v_tried.state in ('pending', 'parked') then
      v_report.store_events_waiting := v_report.store_events_waiting + 1;
    else
      v_report.store_events := v_report.store_events + 1;
    end if;
    exit when v_tried.details ->> 'sqlstate' = '57014';  -- whoever cancels means the whole call
  end loop;
  return v_report;
end;
$$;

comment on function credits_private.run_due_events(integer) is
  'Tries due events again, at most so many, and says what came of it.';

revoke all on function credits_private.run_due_events(integer) from public, anon, authenticated, service_role;
