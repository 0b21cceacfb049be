-- run_maintenance: tidies what time and other people left undone.
--
-- Tries the store events that are pending or parked and due, then writes what has fallen due for balances:
-- expiries, holds, recurring grants. Nothing needs it to be correct; it makes things happen sooner. Call it as
-- often and as parallel as you like: it waits for nobody's balance (but for that of a store event), and what it
-- leaves the next call finds. Where pg_cron is, it is called every minute (schedule_maintenance); elsewhere
-- credits-db maintain does.

create or replace function public.run_maintenance(
  max_items integer default 1000
)
  returns public.maintenance_report
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_report public.maintenance_report;
  v_done public.maintenance_report;
  v_left integer;
  v_user_id pg_catalog.uuid;
  v_now pg_catalog.timestamptz;
begin
  if (max_items between 1 and 100000) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'max_items', 'value', max_items),
      hint = 'One call takes 1 to 100000 items.';
  end if;
  v_report := credits_private.run_due_events(max_items);
  v_left := max_items - v_report.store_events - v_report.store_events_waiting;
  perform credits_private.tell_holders(max_items);
  v_now := credits_private.now();
  for v_user_id in
    select a.user_id
    from credits_private.due_accounts as d
    join public.user_credits as a on a.user_id = d.user_id
    join auth.users as u on u.id = d.user_id
    where d.due_at <= v_now
    order by d.due_at
    limit v_left
    for key share of u skip locked
    for no key update of a skip locked
  loop
    v_done := credits_private.settle_due(v_user_id, v_left);
    v_report.accounts := v_report.accounts + v_done.accounts;
    v_report.expirations := v_report.expirations + v_done.expirations;
    v_report.holds := v_report.holds + v_done.holds;
    v_report.grants := v_report.grants + v_done.grants;
    v_left := v_left - greatest(1, v_done.expirations + v_done.holds + v_done.grants);
    exit when v_left <= 0;
  end loop;
  return v_report;
end;
$$;

comment on function public.run_maintenance(integer) is
  'Do what is due, at most max_items of it, and say what was done. Raises 22023 invalid_argument.';

revoke all on function public.run_maintenance(integer) from public, anon, authenticated, service_role;
grant execute on function public.run_maintenance(integer) to service_role;
