-- add_credits: the engine of add_credits_for.
--
-- Lock, look for the key, post: in that order, so that a replay moves nothing and two calls with one key cannot
-- both post. With an expiry the credits are a lot, which is part of what the key means. Only money in: refund and
-- clawback_reversal give back something that was taken and have operations of their own.

create or replace function credits_private.add_credits(
  p_user_id uuid,
  p_amount bigint,
  p_type public.credit_transaction_type,
  p_expires_at timestamptz,
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
  v_row public.credit_transactions;
begin
  perform credits_private.check_entry(p_amount, p_description, p_metadata, p_idempotency_key);
  if (p_type in ('purchase', 'signup_bonus', 'monthly_bonus', 'bonus', 'admin_adjustment')) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'type', 'value', p_type),
      hint = 'Credits are added as purchase, bonus, signup_bonus, monthly_bonus or admin_adjustment.';
  end if;
  perform credits_private.lock_account(p_user_id);
  v_row := credits_private.find_replay(
    p_user_id, p_type, p_amount, p_description, p_metadata, p_idempotency_key
  );
  if v_row.seq is not null then
    if (
      select l.expires_at from credits_private.credit_lots as l where l.user_id = p_user_id and l.seq = v_row.seq
    ) is distinct from p_expires_at then
      perform credits_private.refuse_key(p_idempotency_key, v_row.seq);
    end if;
    return v_row;
  end if;
  if p_expires_at <= credits_private.now() or p_expires_at = 'infinity' then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'expires_at', 'value', p_expires_at),
      hint = 'Credits expire at an instant to come; leave expires_at out for credits that never do.';
  end if;
  perform credits_private.settle_account(p_user_id);
  v_row := credits_private.post(p_user_id, p_type, p_amount, p_description, p_metadata, p_idempotency_key);
  if p_expires_at is not null then
    perform credits_private.make_lot(v_row, p_expires_at);
  end if;
  return v_row;
end;
$$;

comment on function credits_private.add_credits(
  uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text
) is
  'Adds credits and returns the ledger row. Raises PT404 account_not_found, PT410 account_closed, PT422 idempotency_key_reused, expiry_not_allowed or balance_limit, and 22023.';

revoke all on function credits_private.add_credits(
  uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text
) from public, anon, authenticated, service_role;
