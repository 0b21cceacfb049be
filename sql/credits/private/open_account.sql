-- open_account: gives a user their balance row, and the signup bonus once.
--
-- Called by the trigger on auth.users and by the first operation of a user whom the trigger missed. The
-- user is looked up and share-locked first, so an account never outlives a deletion that runs beside it.
-- The bonus is a ledger row with a key of our own: whoever comes twice, at once or later, gets it once; and so does
-- whoever comes again under another id (claim_bonus). Who brings a balance from before has had it.

create or replace function credits_private.open_account(p_user_id uuid)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_bonus bigint;
  v_is_open boolean;
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
  v_bonus := credits_private.signup_bonus_for(p_user_id);
  v_is_open := exists (select from public.user_credits as a where a.user_id = p_user_id);
  if not v_is_open then
    perform credits_private.adopt_accounts(array[p_user_id]);
  end if;
  if v_bonus > 0 and (
    not credits_private.claim_bonus(p_user_id)
    or not v_is_open and exists (select from public.user_credits as a where a.user_id = p_user_id)
  ) then
    v_bonus := 0::bigint;
  end if;
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
  'Opens the account of a user and grants the signup bonus, both at most once. Raises PT401 not_authenticated for null, PT404 account_not_found and PT410 account_closed.';

revoke all on function credits_private.open_account(uuid) from public, anon, authenticated, service_role;
