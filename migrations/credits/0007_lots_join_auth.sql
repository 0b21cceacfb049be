-- Users see their own holds.
--
-- Apart from the table, because on Supabase a policy locks all of auth until it ends.
--
-- depends: 0006_lots

-- from sql/credits/policies/credit_holds.sql
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
-- end

-- check: holds have a policy for each of their readers
do $$
begin
  if (
    select count(*)
    from pg_catalog.pg_policies as p
    where p.schemaname = 'public'
      and p.tablename = 'credit_holds'
  ) <> 2 then
    raise exception 'a policy of holds is missing';
  end if;
end;
$$;
