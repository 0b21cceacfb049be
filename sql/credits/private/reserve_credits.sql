-- reserve_credits: the engine of reserve_credits_for.
--
-- Lock, look for the key, settle, decide: as everywhere. The balance stays as it is and credits_held grows; the
-- lots are taken now, soonest expiry first, so that none can expire under the work. A replay tells of a hold that
-- has expired, and writes nothing.

create or replace function credits_private.reserve_credits(
  p_user_id uuid,
  p_amount bigint,
  p_expires_in interval,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text
)
  returns public.credit_holds
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_hold public.credit_holds;
  v_seq bigint;
  v_active bigint;
  v_maximum bigint;
  v_now pg_catalog.timestamptz;
begin
  perform credits_private.check_entry(p_amount, p_description, p_metadata, p_idempotency_key);
  if not credits_private.lasts_between(p_expires_in, '1 second', '30 days') then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'expires_in', 'value', p_expires_in),
      hint = 'A hold lasts from 1 second to 30 days.';
  end if;
  perform credits_private.lock_account(p_user_id);
  select h.* into v_hold
  from public.credit_holds as h
  where h.user_id = p_user_id and h.idempotency_key = p_idempotency_key;
  if found then
    if (v_hold.amount, v_hold.expires_at, v_hold.description, v_hold.metadata) is distinct from (
      p_amount, credits_private.in_utc(v_hold.created_at, p_expires_in), p_description, p_metadata
    ) then
      perform credits_private.refuse_key(p_idempotency_key, null);
    end if;
    if v_hold.status = 'active' and v_hold.expires_at <= credits_private.now() then
      v_hold.status := 'expired';
      v_hold.ended_at := v_hold.expires_at;
    end if;
    return v_hold;
  end if;
  select t.seq into v_seq
  from public.credit_transactions as t
  where t.user_id = p_user_id and t.idempotency_key = p_idempotency_key;
  if found then
    perform credits_private.refuse_key(p_idempotency_key, v_seq);
  end if;
  v_account := credits_private.settle_account(p_user_id, p_amount);
  if v_account.credits_remaining - v_account.credits_held < p_amount then
    perform credits_private.refuse_spend(v_account, p_amount);
  end if;
  select count(*) into v_active from public.credit_holds as h where h.user_id = p_user_id and h.status = 'active';
  select s.value::bigint into v_maximum from credits_private.settings as s where s.name = 'max_active_holds';
  if v_active >= v_maximum then
    raise exception using
      errcode = 'PT429',
      message = 'too_many_holds',
      detail = json_build_object('active', v_active, 'maximum', v_maximum),
      hint = 'Capture or release holds first, or wait until one expires.';
  end if;
  v_hold := null;
  v_now := credits_private.now();
  insert into public.credit_holds as h (user_id, amount, expires_at, created_at, description, metadata, idempotency_key)
  values (
    p_user_id, p_amount, credits_private.in_utc(v_now, p_expires_in), v_now, p_description, p_metadata, p_idempotency_key
  )
  returning h.* into v_hold;
  update public.user_credits as a
  set credits_held = a.credits_held + p_amount, last_hold_at = v_now
  where a.user_id = p_user_id;
  if v_account.next_due_at is not null then
    perform credits_private.draw_lots(p_user_id, p_amount, null, v_hold.id);
  end if;
  perform credits_private.due_by(p_user_id, v_hold.expires_at);
  return v_hold;
end;
$$;

comment on function credits_private.reserve_credits(uuid, bigint, interval, text, jsonb, text) is
  'Sets credits aside and returns the hold. Raises PT402 insufficient_credits, PT404 account_not_found, PT410 account_closed, PT422 idempotency_key_reused, PT429 too_many_holds and 22023.';

revoke all on function credits_private.reserve_credits(uuid, bigint, interval, text, jsonb, text)
  from public, anon, authenticated, service_role;
