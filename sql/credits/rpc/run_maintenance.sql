-- run_maintenance: tidies what time and other people left undone.
--
-- Tries the store events that are pending or parked and due. Nothing needs it to be correct; it makes things happen sooner.
-- Call it from cron every few minutes, as often and as parallel as you like.

create or replace function public.run_maintenance(
  max_items integer default 1000
)
  returns public.maintenance_report
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  if (max_items between 1 and 100000) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'max_items', 'value', max_items),
      hint = 'One call takes 1 to 100000 items.';
  end if;
  return credits_private.run_due_events(max_items);
end;
$$;

comment on function public.run_maintenance(integer) is
  'Do what is due, at most max_items of it, and say what was done. Raises 22023 invalid_argument.';

revoke all on function public.run_maintenance(integer) from public, anon, authenticated, service_role;
grant execute on function public.run_maintenance(integer) to service_role;
