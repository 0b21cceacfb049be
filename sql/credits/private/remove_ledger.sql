-- remove_ledger: takes the ledger rows of an account that has just gone, and leaves what they came to.

create or replace function credits_private.remove_ledger(
  p_user_id uuid,
  p_closed_account_id uuid
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  insert into credits_private.closed_totals (closed_account_id, month, type, credits, operations)
  select p_closed_account_id, date_trunc('month', t.created_at at time zone 'UTC')::pg_catalog.date, t.type, sum(t.amount), count(*)
  from public.credit_transactions as t
  where t.user_id = p_user_id
  group by 2, 3;
  delete from public.credit_transactions as t where t.user_id = p_user_id;
end;
$$;

comment on function credits_private.remove_ledger(uuid, uuid) is
  'Deletes the ledger rows of a deleted account, and keeps their totals by month.';

revoke all on function credits_private.remove_ledger(uuid, uuid) from public, anon, authenticated, service_role;
