-- open_account: gives a user their balance row, and the signup bonus once.
--
-- Called by the trigger on auth.users and by the first operation of a user whom the trigger missed. The
-- user is looked up and share-locked first, so an account never outlives a deletion that runs beside it.
-- The bonus is a ledger row with a key of our own: whoever comes twice, at once or later, gets it once.

create or replace function credits_private.open_account(p_user_id uuid)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_bonus bigint;
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  if p_user_id is null then
    raise exception using
      errcode = 'PT401',
      message = 'not_authenticated',
      detail = '{}',
      hint = 'The user id is null: nobody is signed in.';
  end if;
  perform from auth.users as u where u.id = p_user_id for key share;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'account_not_found',
      detail = '{}',
      hint = 'There is no such user.';
  end if;
  perform credits_private.adopt_accounts(array[p_user_id]);
  v_bonus := credits_private.signup_bonus_for(p_user_id);
  insert into public.user_credits (user_id, created_at, updated_at)
  values (p_user_id, v_now, v_now)
  on conflict (user_id) do nothing;
  if v_bonus > 0 then
    perform from public.user_credits as a where a.user_id = p_user_id for no key update;
    if not exists (
      select from public.credit_transactions as t
      where t.user_id = p_user_id and t.idempotency_key = 'credits:signup_bonus'
    ) then
      perform credits_private.post(
        p_user_id, 'signup_bonus', v_bonus, 'Signup bonus', '{}', 'credits:signup_bonus'
      );
    end if;
  end if;
end;
$$;

comment on function credits_private.open_account(uuid) is
  'Opens the account of a user and grants the signup bonus, both at most once. Raises PT401 not_authenticated for null and PT404 account_not_found.';

revoke all on function credits_private.open_account(uuid) from public, anon, authenticated, service_role;
