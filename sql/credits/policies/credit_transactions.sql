-- Policies of credit_transactions: users see their own ledger, services see all and may add rows.

create policy "users read their own ledger"
  on public.credit_transactions
  for select
  to authenticated
  using (user_id = (select auth.uid()));

create policy "services read every ledger"
  on public.credit_transactions
  for select
  to service_role
  using (true);

create policy "services add to every ledger"
  on public.credit_transactions
  for insert
  to service_role
  with check (true);
