-- period_end: until when the entitlements of a purchase last, by all that is known of it.
--
-- The latest end that was paid for or extended to; for ever where no source names one; cut off where it expired.

create or replace function credits_private.period_end(
  p_purchase public.purchase_transactions
)
  returns timestamptz
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_until pg_catalog.timestamptz;
begin
  select
    least(
      case
        when bool_or(f.ref like 'forever:%')
          and coalesce(max(f.until) filter (where f.ref not like 'expired:%') <= to_timestamp(0), true)
        then 'infinity'
        else max(f.until) filter (where f.ref not like 'expired:%')
      end,
      max(f.until) filter (where f.ref like 'expired:%')
    )
  into v_until
  from credits_private.purchase_facts as f
  where f.store = p_purchase.store
    and f.environment = p_purchase.environment
    and f.transaction_id = p_purchase.transaction_id
    and f.kind = 'period'
    and (
      f.product_id = p_purchase.product_id
      or not exists (
        select
        from public.purchase_transactions as o
        where o.user_id = p_purchase.user_id
          and o.store = p_purchase.store
          and o.environment = p_purchase.environment
          and o.transaction_id = p_purchase.transaction_id
          and o.product_id = f.product_id
      )
    );
  return nullif(v_until, 'infinity');
end;
$$;

comment on function credits_private.period_end(public.purchase_transactions) is
  'The end of the entitlements of a purchase, null for ever.';

revoke all on function credits_private.period_end(public.purchase_transactions) from public, anon, authenticated, service_role;
