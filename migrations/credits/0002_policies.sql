-- The policies, in a short migration of their own.
--
-- On Supabase a policy statement may lock every table of auth until the transaction ends, so nothing else
-- happens in this one.
--
-- depends: 0001_core

-- from sql/credits/policies/user_credits.sql
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
-- end

-- from sql/credits/policies/credit_transactions.sql
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
-- end

-- check: every table of the API has row level security and a policy for those who may read it
do $$
begin
  if (
    select count(*)
    from pg_catalog.pg_policies as p
    where p.schemaname = 'public' and p.tablename in ('user_credits', 'credit_transactions')
  ) <> 5 then
    raise exception 'a policy of credits is missing';
  end if;
  if exists (
    select
    from pg_catalog.pg_class as c
    where c.oid in ('public.user_credits'::regclass, 'public.credit_transactions'::regclass) and not c.relrowsecurity
  ) then
    raise exception 'a table of credits has no row level security';
  end if;
end;
$$;
