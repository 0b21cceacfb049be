-- transfer_entitlements: moves what users bought in a store to another user, entitlements alone.
--
-- What RevenueCat calls a TRANSFER. Credits stay with who claimed them, spent or not, and so do their refunds: otherwise
-- buying, transferring and restoring would multiply them. The accounts are locked in the order of their ids.

create or replace function credits_private.transfer_entitlements(
  p_user_id uuid,
  p_former uuid[],
  p_store text,
  p_environment text
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_user_id pg_catalog.uuid;
  v_moved record;
begin
  for v_user_id in select distinct u.id from unnest(p_former || p_user_id) as u (id) order by u.id loop
    perform credits_private.lock_account(v_user_id);
  end loop;
  for v_moved in
    with bought as (
      update public.purchase_transactions as p
      set entitlements = '{}'
      from public.purchase_transactions as o
      where p.user_id = any (p_former)
        and p.user_id <> p_user_id
        and p.store = p_store
        and p.environment = p_environment
        and p.entitlements <> '{}'
        and (o.user_id, o.store, o.environment, o.transaction_id, o.product_id)
          = (p.user_id, p.store, p.environment, p.transaction_id, p.product_id)
      returning p.user_id, o.entitlements, p.entitled_until, p.status
    ),
    granted as (
      update public.user_entitlements as e
      set granted_by = null, granted_until = null
      from public.user_entitlements as o
      where e.user_id = any (p_former)
        and e.user_id <> p_user_id
        and e.granted_by = 'transfer'
        and (o.user_id, o.entitlement) = (e.user_id, e.entitlement)
      returning e.user_id, e.entitlement, o.granted_until
    )
    select b.user_id, n.name, b.entitled_until as until, b.status = 'completed' as is_live
    from bought as b
    cross join lateral unnest(b.entitlements) as n (name)
    union all
    select g.user_id, g.entitlement, g.granted_until, true
    from granted as g
  loop
    if v_moved.is_live then
      perform credits_private.grant_entitlement(p_user_id, v_moved.name, v_moved.until, 'transfer');
    end if;
    perform credits_private.refresh_entitlements(v_moved.user_id, array[v_moved.name]);
  end loop;
end;
$$;

comment on function credits_private.transfer_entitlements(uuid, uuid[], text, text) is
  'Moves the entitlements of purchases in a store from some users to another. Credits stay.';

revoke all on function credits_private.transfer_entitlements(uuid, uuid[], text, text) from public, anon, authenticated, service_role;
