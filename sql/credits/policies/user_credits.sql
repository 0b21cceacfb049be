-- Policies of user_credits: users see their own balance, services see all; nobody writes.

create policy "users read their own balance"
  on public.user_credits
  for select
  to authenticated
  using (user_id = (select auth.uid()));

create policy "services read every balance"
  on public.user_credits
  for select
  to service_role
  using (true);
