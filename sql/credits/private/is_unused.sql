-- is_unused: has this user no ledger row with this key?
--
-- The condition under which spend takes credits. Volatile, and that is the point: it looks with a snapshot of its
-- own. When the balance row was changed by somebody for whom the update had to wait, Postgres asks again, now
-- under the lock, and a snapshot as old as the update's would not show the ledger row that they have written.

create or replace function credits_private.is_unused(
  p_user_id uuid,
  p_idempotency_key text
)
  returns boolean
  language plpgsql
  volatile
  set search_path = ''
as $$
-- @plpgsql_check_options: performance_warnings = off
begin
  perform from public.credit_transactions as t
  where t.user_id = p_user_id and t.idempotency_key = p_idempotency_key;
  return not found;
end;
$$;

comment on function credits_private.is_unused(uuid, text) is
  'Whether no ledger row of this user has this key, as of now and not of the statement that asks.';

revoke all on function credits_private.is_unused(uuid, text) from public, anon, authenticated, service_role;
