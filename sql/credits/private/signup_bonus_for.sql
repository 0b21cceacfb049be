-- signup_bonus_for: what a new account of this user starts with.
--
-- Asked when an account is opened, and by get_user_credits for a user whose account is not open yet, so
-- that both say the same. Looks at auth.users, hence PT404 for a user who does not exist.

create or replace function credits_private.signup_bonus_for(p_user_id uuid)
  returns bigint
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_bonus bigint;
begin
  select
    case
      when u.is_anonymous then 0
      else (select s.value::bigint from credits_private.settings as s where s.name = 'signup_bonus')
    end
  into v_bonus
  from auth.users as u
  where u.id = p_user_id;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'account_not_found',
      detail = '{}',
      hint = 'There is no such user.';
  end if;
  return v_bonus;
end;
$$;

comment on function credits_private.signup_bonus_for(uuid) is
  'Credits that a new account of this user starts with: the setting signup_bonus, 0 while anonymous. Raises PT404 account_not_found.';

revoke all on function credits_private.signup_bonus_for(uuid) from public, anon, authenticated, service_role;
