-- refresh_entitlements: what purchases and grants together give a user, and until when.
--
-- For the entitlements that something just happened to, under the lock of the balance. The longest of what was bought and
-- not refunded, and of what was granted; nothing of either, and the row goes.

create or replace function credits_private.refresh_entitlements(
  p_user_id uuid,
  p_entitlements text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  with wanted as (
    select
      n.name,
      b.until,
      b.store,
      e.granted_by,
      case when e.granted_by is not null then coalesce(e.granted_until, 'infinity') end as granted_until
    from (select distinct u.name from unnest(p_entitlements) as u (name)) as n
    left join public.user_entitlements as e on e.user_id = p_user_id and e.entitlement = n.name
    left join lateral (
      select coalesce(p.entitled_until, 'infinity') as until, p.store
      from public.purchase_transactions as p
      where p.user_id = p_user_id and p.status = 'completed' and n.name = any (p.entitlements)
      order by 1 desc, 2
      limit 1
    ) as b on true
  ),
  gone as (
    delete from public.user_entitlements as e
    using wanted as w
    where e.user_id = p_user_id and e.entitlement = w.name and w.until is null and w.granted_by is null
  )
  insert into public.user_entitlements as e (user_id, entitlement, active_until, source, updated_at)
  select
    p_user_id,
    w.name,
    nullif(greatest(w.until, w.granted_until), 'infinity'),
    case when w.until is null or w.until < w.granted_until then w.granted_by else w.store end,
    v_now
  from wanted as w
  where w.until is not null or w.granted_by is not null
  on conflict (user_id, entitlement) do update
  set
    active_until = excluded.active_until,
    source = excluded.source,
    updated_at = excluded.updated_at
  where (e.active_until, e.source) is distinct from (excluded.active_until, excluded.source);
end;
$$;

comment on function credits_private.refresh_entitlements(uuid, text[]) is
  'Brings entitlements of a user to what purchases and grants give.';

revoke all on function credits_private.refresh_entitlements(uuid, text[]) from public, anon, authenticated, service_role;
