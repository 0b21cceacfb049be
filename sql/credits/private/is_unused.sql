-- is_unused: has this user no ledger row, and no hold, with this key?
--
-- The condition under which spend takes credits. Volatile, and that is the point: it looks with a snapshot of its
-- own. When the balance row was changed by somebody for whom the update had to wait, Postgres asks again, now
-- under the lock, and a snapshot as old as the update's would not show the ledger row that they have written. Holds are
-- looked through only for a user who ever had one.

create or replace function credits_private.is_unused(
  p_user_id uuid,
  p_idempotency_key text,
  p_has_holds boolean
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
  if found or not p_has_holds then
    return not found;
  end if;
  perform from public.credit_holds as h
  where h.user_id = p_user_id and h.idempotency_key = p_idempotency_key;
  return not found;
end;
$$;

comment on function credits_private.is_unused(uuid, text, boolean) is
  'Whether no ledger row of this user has this key, and no hold where p_has_holds, as of now and not of the statement that asks.';

revoke all on function credits_private.is_unused(uuid, text, boolean) from public, anon, authenticated, service_role;
