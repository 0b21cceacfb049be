-- What joins the core to auth.users: the reference, the triggers for who comes and goes, the policies.
--
-- The first two lock auth.users against sign-ups until the transaction ends, and on Supabase a policy may lock every
-- table of auth. So this migration is short and does nothing else.
--
-- depends: 0001_core

-- from sql/credits/references/user_credits.sql
-- The reference of user_credits to auth.users: an account goes with its user.
--
-- Apart from the table, because it locks auth.users against every sign-up and sign-in until its transaction
-- ends: it belongs into a migration that does little else. Nothing has to be validated, since the table is new.

-- whoever came and went meanwhile
delete from public.user_credits as a
where not exists (select from auth.users as u where u.id = a.user_id);

alter table public.user_credits
  -- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid
  add constraint user_credits_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade;
-- end

-- from sql/credits/triggers/open_account_on_signup.sql
-- open_account_on_signup: a new user has an account, and a sign-up never fails because of it.
--
-- Purchases that were made before there was a user, and wait for this id, are credited now.
-- Whatever goes wrong here becomes a warning in the log: the account is then opened by the first operation
-- of the user. Metadata is not looked at, since users choose theirs. An anonymous user who converts gets
-- the bonus that they could not have before; a passing conflict there is raised, for whoever asked to try
-- again, since nothing later would grant it. A new address of somebody who has an account has had its bonus. No comment
-- on the trigger: on Supabase only the owner of auth.users may write one.

create or replace function credits_private.open_account_on_signup()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  if new.deleted_at is not null then
    return null;
  elsif tg_op = 'INSERT' or old.is_anonymous and not new.is_anonymous then
    perform credits_private.open_account(new.id);
    perform credits_private.lock_names(array[new.id::pg_catalog.text]);
    perform credits_private.run_parked_events(array[new.id::pg_catalog.text]);
  elsif not new.is_anonymous
    and (new.email is distinct from old.email or new.phone is distinct from old.phone)
    and exists (select from public.user_credits as a where a.user_id = new.id)
  then
    perform credits_private.claim_bonus(new.id);
  end if;
  return null;
exception
  when query_canceled or others then
    if tg_op = 'UPDATE' and sqlstate in ('40001', '40P01', '55P03', '57014') then
      raise;
    end if;
    raise warning 'credits-db: the account of this user is opened later (%: %)', sqlstate, sqlerrm;
    return null;
end;
$$;

comment on function credits_private.open_account_on_signup() is
  'Trigger on auth.users: opens the account of a new user, grants the signup bonus to one who was anonymous, and notes that a new address has had it. Never fails a sign-up.';

revoke all on function credits_private.open_account_on_signup() from public, anon, authenticated, service_role;

create or replace trigger open_account_on_signup
  after insert or update of is_anonymous, email, phone on auth.users
  for each row
  execute function credits_private.open_account_on_signup();
-- end

-- from sql/credits/triggers/close_account_on_deletion.sql
-- close_account_on_deletion: a user who leaves by any way is gone the same way.
--
-- Before a delete what has fallen due is written. After it the balance has gone by its foreign key, and all of the
-- account with it. A soft deletion (GoTrue sets deleted_at, and replaces the address in the same statement) leaves the
-- row: the balance is deleted here, behind whoever is opening or using the account at the moment. Then events, which
-- the row's old address is needed for. An error is raised: a deletion that is not whole has not been done. No comment
-- on the triggers: on Supabase only the owner of auth.users may write one.

create or replace function credits_private.close_account_on_deletion()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  if tg_when = 'BEFORE' then
    perform credits_private.settle_leaving(old.id);
    return old;
  end if;
  if tg_op = 'UPDATE' then
    if old.deleted_at is not null or new.deleted_at is null then
      return null;
    end if;
    perform from auth.users as u where u.id = new.id for update;
    perform credits_private.settle_leaving(new.id);
    delete from public.user_credits as a where a.user_id = new.id;
  end if;
  perform credits_private.remove_adopted(old.id);
  perform credits_private.forget_user(old.id, old.email);
  return null;
end;
$$;

comment on function credits_private.close_account_on_deletion() is
  'Trigger on auth.users: closes the account of a user who is deleted, softly or not.';

revoke all on function credits_private.close_account_on_deletion() from public, anon, authenticated, service_role;

create or replace trigger close_account_on_deletion
  after delete or update of deleted_at on auth.users
  for each row
  execute function credits_private.close_account_on_deletion();

create or replace trigger settle_account_before_deletion
  before delete on auth.users
  for each row
  execute function credits_private.close_account_on_deletion();
-- end

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

select credits_private.join_adopted();

-- check: every table of the API has a policy for each of its readers
do $$
begin
  if (
    select count(*)
    from pg_catalog.pg_policies as p
    where p.schemaname = 'public'
      and p.tablename in (
        'user_credits', 'credit_transactions', 'credit_products', 'purchase_transactions', 'user_entitlements', 'credit_holds'
      )
  ) <> 13 then
    raise exception 'a policy of credits is missing';
  end if;
end;
$$;
