-- signup_bonus_for: what a new account of this user starts with.
--
-- Asked when an account is opened, and by get_user_credits for a user whose account is not open yet, so
-- that both say the same. Looks at auth.users, hence PT404 for a user who does not exist, and PT410 for one who was
-- deleted: softly, or under this same id before. Nothing where the address or the phone number has had it before.

create or replace function credits_private.signup_bonus_for(p_user_id uuid)
  returns bigint
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_bonus bigint;
  v_user pg_catalog.record;
begin
  select u.is_anonymous, u.email, u.phone, u.deleted_at into v_user from auth.users as u where u.id = p_user_id;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'account_not_found',
      detail = '{}',
      hint = 'There is no such user.';
  end if;
  if v_user.deleted_at is not null or exists (
    select
    from credits_private.closed_identities as c
    where c.identity_hash = credits_private.identity_hash('user', p_user_id::pg_catalog.text)
  ) then
    raise exception using
      errcode = 'PT410',
      message = 'account_closed',
      detail = '{}',
      hint = 'This account was deleted.';
  end if;
  if v_user.is_anonymous then
    return 0::bigint;
  end if;
  select s.value::bigint into v_bonus from credits_private.settings as s where s.name = 'signup_bonus';
  if v_bonus > 0 and exists (
    select
    from credits_private.bonus_claims as c
    where c.identity_hash = any (credits_private.bonus_identities(v_user.email, v_user.phone))
  ) then
    return 0::bigint;
  end if;
  return v_bonus;
end;
$$;

comment on function credits_private.signup_bonus_for(uuid) is
  'Credits that a new account of this user starts with: the setting signup_bonus, 0 while anonymous and for an address that has had it. Raises PT404 account_not_found and PT410 account_closed.';

revoke all on function credits_private.signup_bonus_for(uuid) from public, anon, authenticated, service_role;
