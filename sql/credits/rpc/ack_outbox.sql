-- ack_outbox: a worker has done what it claimed; it is not handed out again.

create or replace function public.ack_outbox(
  ids uuid[]
)
  returns integer
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_count integer;
begin
  delete from credits_private.outbox as o where o.id = any (ids);
  get diagnostics v_count = row_count;
  return v_count;
end;
$$;

comment on function public.ack_outbox(uuid[]) is
  'Remove what was done from the outbox. Returns how many items that were; one that is gone already is no error.';

revoke all on function public.ack_outbox(uuid[]) from public, anon, authenticated, service_role;
grant execute on function public.ack_outbox(uuid[]) to service_role;
