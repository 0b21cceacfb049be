-- find_replay: has this key been used, and for the same thing?
--
-- Called under the lock of the balance, so the answer cannot change before the caller acts on it. Same
-- key and same meaning: the row that the first call wrote. Same key, other meaning: PT422. Metadata is
-- compared as jsonb, so the order of its keys and 1.0 for 1 make no difference. A null amount is not compared: it
-- asked for all that was left. The capture of a hold means that hold, and no other row means one.

create or replace function credits_private.find_replay(
  p_user_id uuid,
  p_type public.credit_transaction_type,
  p_amount bigint,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text,
  p_hold_id uuid default null
)
  returns public.credit_transactions
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_row public.credit_transactions;
begin
  select t.* into v_row
  from public.credit_transactions as t
  where t.user_id = p_user_id
    and t.idempotency_key = p_idempotency_key;
  if v_row.seq is null then
    if exists (
      select from public.credit_holds as h where h.user_id = p_user_id and h.idempotency_key = p_idempotency_key
    ) then
      perform credits_private.refuse_key(p_idempotency_key, null);
    end if;
  elsif (v_row.type, v_row.amount, v_row.description, v_row.metadata)
      is distinct from (p_type, coalesce(p_amount, v_row.amount), p_description, p_metadata)
    or (
      select h.id from public.credit_holds as h where h.user_id = p_user_id and h.seq = v_row.seq
    ) is distinct from p_hold_id
  then
    perform credits_private.refuse_key(p_idempotency_key, v_row.seq);
  end if;
  return v_row;
end;
$$;

comment on function credits_private.find_replay(uuid, public.credit_transaction_type, bigint, text, jsonb, text, uuid) is
  'The ledger row that this key wrote, or a null row when it is unused. Raises PT422 idempotency_key_reused when it means something else.';

revoke all on function credits_private.find_replay(uuid, public.credit_transaction_type, bigint, text, jsonb, text, uuid)
  from public, anon, authenticated, service_role;
