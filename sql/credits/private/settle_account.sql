-- settle_account: the locked balance as it is now, with everything that has fallen due written.
--
-- The step between looking for a replay, which must find things as they were, and deciding anything. Whoever is
-- about to refuse an amount says which: then grants are looked for in any case, since a holder may not have been
-- told yet (tell_holders).

create or replace function credits_private.settle_account(
  p_user_id uuid,
  p_amount bigint default 0
)
  returns public.user_credits
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
begin
  select a.* into v_account from public.user_credits as a where a.user_id = p_user_id;
  if v_account.next_due_at <= credits_private.now()
    or v_account.credits_remaining - v_account.credits_held < p_amount
  then
    perform credits_private.settle_due(p_user_id, null);
    select a.* into v_account from public.user_credits as a where a.user_id = p_user_id;
  end if;
  return v_account;
end;
$$;

comment on function credits_private.settle_account(uuid, bigint) is
  'Writes what is due for a locked balance and returns it.';

revoke all on function credits_private.settle_account(uuid, bigint) from public, anon, authenticated, service_role;
