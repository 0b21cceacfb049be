-- Who sees which of what is sold and bought.
--
-- Apart from the tables, because on Supabase a policy locks the tables of auth until its transaction ends.
--
-- depends: 0004_purchases

-- from sql/credits/policies/purchases.sql
-- Policies of what is sold and bought: everybody sees what is on sale, users see what is theirs, services see all; only
-- functions write.

create policy "everybody sees what is on sale"
  on public.credit_products
  for select
  to anon, authenticated
  using ((active_from is null or active_from <= now()) and (active_to is null or active_to > now()));

create policy "services see every product"
  on public.credit_products
  for select
  to service_role
  using (true);

create policy "users read their own purchases"
  on public.purchase_transactions
  for select
  to authenticated
  using (user_id = (select auth.uid()));

create policy "services read every purchase"
  on public.purchase_transactions
  for select
  to service_role
  using (true);

create policy "users read their own entitlements"
  on public.user_entitlements
  for select
  to authenticated
  using (user_id = (select auth.uid()));

create policy "services read every entitlement"
  on public.user_entitlements
  for select
  to service_role
  using (true);
-- end

-- check: every table of purchases has a policy for each of its readers
do $$
begin
  if (
    select count(*)
    from pg_catalog.pg_policies as p
    where p.schemaname = 'public'
      and p.tablename in ('credit_products', 'purchase_transactions', 'user_entitlements')
  ) <> 6 then
    raise exception 'a policy of purchases is missing';
  end if;
end;
$$;
