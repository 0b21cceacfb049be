-- claim_outbox: a worker takes what waits to be done outside of the database.
--
-- The oldest first, and never what another worker has claimed: until the lease runs out an item is handed out to
-- nobody else. A worker that died loses nothing; whoever claims after the lease gets it again, so the work must
-- bear being done twice.

create or replace function public.claim_outbox(
  max_items integer default 100,
  lease interval default '5 min'
)
  returns setof public.outbox_item
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  if (max_items between 1 and 1000) is not true or not credits_private.lasts_between(lease, '1 second', '1 day') then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', case when (max_items between 1 and 1000) is true then 'lease' else 'max_items' end),
      hint = 'One call takes 1 to 1000 items, for 1 second to 1 day.';
  end if;
  return query
  with due as (
    select o.id
    from credits_private.outbox as o
    where o.claimable_at <= v_now
    order by o.claimable_at, o.id
    limit max_items
    for update skip locked
  ),
  claimed as (
    update credits_private.outbox as o
    set claimable_at = credits_private.in_utc(v_now, lease), attempts = o.attempts + 1
    from due as d
    where o.id = d.id
    returning o.*
  )
  select c.id, c.kind, c.user_id, c.payload, c.attempts, c.created_at
  from claimed as c
  order by c.created_at, c.id;
end;
$$;

comment on function public.claim_outbox(integer, interval) is
  'Take what waits to be done outside, at most max_items, for the time of the lease; ack_outbox removes what is done. Raises 22023 invalid_argument.';

revoke all on function public.claim_outbox(integer, interval) from public, anon, authenticated, service_role;
grant execute on function public.claim_outbox(integer, interval) to service_role;
