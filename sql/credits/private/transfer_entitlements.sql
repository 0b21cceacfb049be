-- transfer_entitlements: moves what users bought in a store to another user, entitlements alone.
--
-- What RevenueCat calls a TRANSFER. Credits stay with who claimed them, spent or not, and so do their refunds: otherwise
-- buying, transferring and restoring would multiply them. A refund or a renewal of the purchase then moves the entitlement of
-- who has it now.

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
  v_former pg_catalog.uuid[] := array_remove(p_former, p_user_id);
  v_names pg_catalog.text[];
  v_grant pg_catalog.record;
  v_user_id pg_catalog.uuid;
begin
  perform credits_private.lock_account(p_user_id);
  with moved as (
    update credits_private.purchase_claims as c
    set entitled_user_id = nullif(p_user_id, c.user_id)
    where c.store = p_store
      and c.environment = p_environment
      and (c.user_id = any (v_former) and c.entitled_user_id is null or c.entitled_user_id = any (v_former))
    returning c.user_id, c.store, c.environment, c.transaction_id
  )
  select array_agg(distinct n.name) into v_names
  from moved as m
  join public.purchase_transactions as p
    on p.user_id = m.user_id
    and p.store = m.store
    and p.environment = m.environment
    and p.transaction_id = m.transaction_id
  cross join lateral unnest(p.entitlements) as n (name);
  for v_grant in
    update public.user_entitlements as e
    set granted_by = null
    where e.user_id = any (v_former) and e.granted_by = 'transfer'
    returning e.entitlement, e.granted_until
  loop
    perform credits_private.grant_entitlement(p_user_id, v_grant.entitlement, v_grant.granted_until, 'transfer');
    v_names := v_names || v_grant.entitlement;
  end loop;
  for v_user_id in select distinct u.id from unnest(v_former || p_user_id) as u (id) order by u.id loop
    perform credits_private.refresh_entitlements(v_user_id, coalesce(v_names, '{}'));
  end loop;
end;
$$;

comment on function credits_private.transfer_entitlements(uuid, uuid[], text, text) is
  'Moves the entitlements of purchases in a store from some users to another. Credits stay.';

revoke all on function credits_private.transfer_entitlements(uuid, uuid[], text, text) from public, anon, authenticated, service_role;
