-- capture_hold: the engine of capture_hold_for.
--
-- The credits were set aside, so they are taken even where a clawback has taken the balance meanwhile: that is
-- debt. What is not captured goes free. The key decides whether this is the capture that was made already; a call
-- without one means the hold itself, and the same call again is the same capture.

create or replace function credits_private.capture_hold(
  p_user_id uuid,
  p_hold_id uuid,
  p_amount bigint,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text
)
  returns public.credit_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_hold public.credit_holds;
  v_row public.credit_transactions;
  -- one of our own, which no user can have taken before
  v_key pg_catalog.text := coalesce(p_idempotency_key, 'credits:capture:' || p_hold_id);
begin
  perform credits_private.check_entry(coalesce(p_amount, 1), p_description, p_metadata, p_idempotency_key);
  perform credits_private.lock_account(p_user_id);
  v_hold := credits_private.find_hold(p_user_id, p_hold_id);
  if p_idempotency_key is null then
    select t.* into v_row
    from public.credit_transactions as t
    where t.user_id = p_user_id
      and t.idempotency_key = v_key
      and (t.amount, t.description, t.metadata)
        is not distinct from (-coalesce(p_amount, v_hold.amount), p_description, p_metadata);
  else
    v_row := credits_private.find_replay(
      p_user_id, 'consumption', -coalesce(p_amount, v_hold.amount), p_description, p_metadata, v_key, p_hold_id
    );
  end if;
  if v_row.seq is not null then
    return v_row;
  end if;
  perform credits_private.settle_account(p_user_id);
  v_hold := credits_private.find_hold(p_user_id, p_hold_id);
  if v_hold.status <> 'active' then
    perform credits_private.refuse_hold(v_hold);
  end if;
  if p_amount > v_hold.amount then
    raise exception using
      errcode = '22023',
      message = 'invalid_amount',
      detail = json_build_object('amount', p_amount, 'held', v_hold.amount),
      hint = 'No more can be captured than is held.';
  end if;
  v_row := credits_private.post(
    p_user_id, 'consumption', -coalesce(p_amount, v_hold.amount), p_description, p_metadata, v_key, null, true
  );
  perform credits_private.end_hold(v_hold, 'captured', v_row.created_at, v_row);
  perform credits_private.cover_debt(p_user_id, v_row.seq, v_row.seq);
  perform credits_private.expire_lots(p_user_id, v_row.created_at, v_row.created_at, null);
  return v_row;
end;
$$;

comment on function credits_private.capture_hold(uuid, uuid, bigint, text, jsonb, text) is
  'Spends a hold, whole or in part, and returns the ledger row. Raises PT404 hold_not_found or account_not_found, PT409 hold_not_active, PT410 account_closed, PT422 idempotency_key_reused and 22023.';

revoke all on function credits_private.capture_hold(uuid, uuid, bigint, text, jsonb, text)
  from public, anon, authenticated, service_role;
