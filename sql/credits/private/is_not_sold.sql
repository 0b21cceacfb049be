-- is_not_sold: is this line of an invoice no product of ours, beside another line that is?

create or replace function credits_private.is_not_sold(
  p_fact credits_private.store_fact,
  p_facts credits_private.store_fact[]
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return not exists (
    select
    from public.credit_products as p
    where p.product_id = p_fact.product_id and p.store in (p_fact.store, 'any')
  )
  and exists (
    select
    from unnest(p_facts) as f
    join public.credit_products as p on p.product_id = f.product_id and p.store in (f.store, 'any')
  );
end;
$$;

comment on function credits_private.is_not_sold(credits_private.store_fact, credits_private.store_fact[]) is
  'Whether a payment is of no product here, while another one of the same event is.';

revoke all on function credits_private.is_not_sold(credits_private.store_fact, credits_private.store_fact[]) from public, anon, authenticated, service_role;
