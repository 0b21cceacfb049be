-- remove_lots: holds, lots, grants and notices go with the account.

create or replace function credits_private.remove_lots()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  delete from public.credit_holds as h where h.user_id = old.user_id;
  delete from credits_private.hold_lots as h where h.user_id = old.user_id;
  delete from credits_private.lot_allocations as t where t.user_id = old.user_id;
  delete from credits_private.credit_lots as l where l.user_id = old.user_id;
  delete from credits_private.recurring_grants as g where g.user_id = old.user_id and g.entitlement is null;
  update credits_private.recurring_grants as g
  set told_to = '00000000-0000-0000-0000-000000000000'
  where g.told_to = old.user_id;
  delete from credits_private.due_accounts as d where d.user_id = old.user_id;
  delete from credits_private.outbox as o where o.user_id = old.user_id;
  return null;
end;
$$;

comment on function credits_private.remove_lots() is
  'Trigger on user_credits: deletes holds, lots, allocations, grants and notices of a deleted account.';

revoke all on function credits_private.remove_lots() from public, anon, authenticated, service_role;

create or replace trigger remove_lots
  after delete on public.user_credits
  for each row
  execute function credits_private.remove_lots();

alter table public.user_credits enable always trigger remove_lots;

comment on trigger remove_lots on public.user_credits is
  'Holds, lots and grants go with their account.';
