-- remove_purchases: what an account that has just gone leaves of its purchases.
--
-- Purchases and entitlements go with it and leave what they came to. Claims stay, closed and without the user, so that
-- nobody is credited for the same transactions again. An entitlement that was transferred stays with who has it.

create or replace function credits_private.remove_purchases(
  p_user_id uuid,
  p_closed_account_id uuid
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_given pg_catalog.record;
begin
  for v_given in
    select c.entitled_user_id as user_id, n.name, max(coalesce(p.entitled_until, 'infinity')) as until
    from credits_private.purchase_claims as c
    join public.purchase_transactions as p
      on p.user_id = c.user_id
      and p.store = c.store
      and p.environment = c.environment
      and p.transaction_id = c.transaction_id
    cross join lateral unnest(p.entitlements) as n (name)
    where c.user_id = p_user_id and c.entitled_user_id is not null and p.status = 'completed'
    group by c.entitled_user_id, n.name
    order by c.entitled_user_id, n.name
  loop
    update public.user_entitlements as e
    set
      granted_by = coalesce(e.granted_by, 'transfer'),
      granted_until = nullif(
        greatest(v_given.until, case when e.granted_by is not null then coalesce(e.granted_until, 'infinity') end),
        'infinity'
      )
    where e.user_id = v_given.user_id and e.entitlement = v_given.name;
    perform credits_private.refresh_entitlements(v_given.user_id, array[v_given.name]);
  end loop;
  insert into credits_private.closed_sales (
    closed_account_id, month, store, environment, product_id, status, currency, purchases, quantity, credits,
    refunded_credits, price_cents
  )
  select
    p_closed_account_id, date_trunc('month', p.created_at at time zone 'UTC')::pg_catalog.date, p.store, p.environment, p.product_id,
    p.status, p.currency, count(*), sum(p.quantity), sum(p.credits), sum(p.refunded_credits), sum(p.price_cents)
  from public.purchase_transactions as p
  where p.user_id = p_user_id
  group by 2, 3, 4, 5, 6, 7;
  delete from public.user_entitlements as e where e.user_id = p_user_id;
  delete from public.purchase_transactions as p where p.user_id = p_user_id;
  update credits_private.purchase_claims as c
  set user_id = null, closed_account_id = p_closed_account_id
  where c.user_id = p_user_id;
  update credits_private.purchase_claims as c
  set entitled_user_id = '00000000-0000-0000-0000-000000000000'
  where c.entitled_user_id = p_user_id;
end;
$$;

comment on function credits_private.remove_purchases(uuid, uuid) is
  'Removes purchases and entitlements of a deleted account, keeps their totals by month, and closes its claims.';

revoke all on function credits_private.remove_purchases(uuid, uuid) from public, anon, authenticated, service_role;
