-- Policies of credit_holds: users see their own holds, services see all; only functions write.

create policy "users read their own holds"
  on public.credit_holds
  for select
  to authenticated
  using (user_id = (select auth.uid()));

create policy "services read every hold"
  on public.credit_holds
  for select
  to service_role
  using (true);
