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
