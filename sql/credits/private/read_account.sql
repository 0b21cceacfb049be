-- read_account: the balance as it is now, without writing.
--
-- A user whose account is not open yet is shown what opening it would give, so that an app which asks
-- before it spends does not turn a newcomer away. What has fallen due is counted, whether or not anybody wrote it.

create or replace function credits_private.read_account(p_user_id uuid)
  returns public.user_credits
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_change credits_private.due_change;
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  select a.* into v_account from public.user_credits as a where a.user_id = p_user_id;
  if not found then
    v_account.user_id := p_user_id;
    v_account.credits_remaining := coalesce(
      credits_private.credits_before(p_user_id), credits_private.signup_bonus_for(p_user_id)
    );
    v_account.credits_held := 0;
    v_account.total_credits := v_account.credits_remaining;
    v_account.used_credits := 0;
    v_account.monthly_bonus_credits := 0;
    v_account.last_seq := 0;
    v_account.created_at := v_now;
    v_account.updated_at := v_account.created_at;
  elsif v_account.next_due_at <= v_now or v_account.monthly_bonus_credits > 0 then
    v_change := credits_private.unswept(p_user_id, v_now);
    v_account.credits_remaining := v_account.credits_remaining + v_change.credits;
    v_account.total_credits := v_account.total_credits + v_change.credits;
    v_account.credits_held := v_account.credits_held - v_change.freed;
    v_account.last_bonus_date := coalesce(v_change.bonus_at, v_account.last_bonus_date);
    v_account.monthly_bonus_credits := v_change.monthly;
    v_account.next_due_at := v_change.next_at;
  end if;
  return v_account;
end;
$$;

comment on function credits_private.read_account(uuid) is
  'The balance row of a user, or what it would be once opened. Raises PT404 account_not_found and PT410 account_closed.';

revoke all on function credits_private.read_account(uuid) from public, anon, authenticated, service_role;
