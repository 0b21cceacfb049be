-- remove_lots: holds, lots, grants and notices go with the account.

create or replace function credits_private.remove_lots(
  p_user_id uuid
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  delete from public.credit_holds as h where h.user_id = p_user_id;
  delete from credits_private.hold_lots as h where h.user_id = p_user_id;
  delete from credits_private.lot_allocations as t where t.user_id = p_user_id;
  delete from credits_private.credit_lots as l where l.user_id = p_user_id;
  delete from credits_private.recurring_grants as g where g.user_id = p_user_id and g.entitlement is null;
  update credits_private.recurring_grants as g
  set told_to = '00000000-0000-0000-0000-000000000000'
  where g.told_to = p_user_id;
  delete from credits_private.due_accounts as d where d.user_id = p_user_id;
  delete from credits_private.outbox as o where o.user_id = p_user_id;
end;
$$;

comment on function credits_private.remove_lots(uuid) is
  'Deletes holds, lots, allocations, grants and notices of a deleted account.';

revoke all on function credits_private.remove_lots(uuid) from public, anon, authenticated, service_role;
