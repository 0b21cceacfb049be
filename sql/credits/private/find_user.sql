-- find_user: which account do these names belong to?
--
-- A name is the id of a user, or one that an earlier event taught us (store_customers). Stripe's events name people in an
-- order of trust, and the first account counts; for RevenueCat all names are of one person, so two accounts among them
-- are a question for an operator, not a guess (or nobody, where p_is_asked is false). Names beside theirs that nobody has yet become theirs, and what was parked under
-- those is done.

create or replace function credits_private.find_user(
  p_provider text,
  p_names text[],
  p_is_asked boolean
)
  returns uuid
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_ids pg_catalog.uuid[] := '{}'::pg_catalog.uuid[];
  v_others pg_catalog.text[] := '{}'::pg_catalog.text[];
  v_accounts pg_catalog.uuid[] := '{}'::pg_catalog.uuid[];
  v_user_id pg_catalog.uuid;
  v_known integer := 0;
  v_name pg_catalog.text;
begin
  foreach v_name in array p_names loop
    if v_name like '________-____-____-____-____________' and translate(v_name, '0123456789abcdef', '') = '----' then
      v_ids := v_ids || v_name::pg_catalog.uuid;
    else
      v_others := v_others || v_name;
    end if;
  end loop;
  if v_ids <> '{}' then
    v_accounts := array(
      select u.id
      from auth.users as u
      where u.id = any (v_ids) and u.deleted_at is null
      order by array_position(v_ids, u.id)
    );
  end if;
  -- whom Stripe's event names by id is meant, here or not yet; its customer is asked only where it names nobody
  if v_others <> '{}' and (p_provider <> 'stripe' or v_ids = '{}' or v_accounts <> '{}') then
    for v_user_id in
      select c.user_id
      from credits_private.store_customers as c
      where c.provider = p_provider and c.name = any (v_others)
      order by array_position(v_others, c.name)
    loop
      v_accounts := v_accounts || v_user_id;
      v_known := v_known + 1;
    end loop;
  end if;
  if p_provider <> 'stripe' and v_accounts[1] <> any (v_accounts) then
    if not p_is_asked then
      return null;
    end if;
    raise exception using
      errcode = '22023',
      message = 'ambiguous_user',
      detail = '{}',
      hint = 'The names in this event belong to more than one account.';
  end if;
  if not p_is_asked and v_accounts[1] is not null then
    -- nobody else will lock the account: it must not go while something is written of it
    perform from auth.users as u where u.id = v_accounts[1] and u.deleted_at is null for key share;
    if not found then
      return null;
    end if;
  end if;
  if v_accounts[1] is not null and v_known < cardinality(v_others) then
    perform credits_private.learn_names(v_accounts[1], p_provider, v_others);
  end if;
  return v_accounts[1];
end;
$$;

comment on function credits_private.find_user(text, text[], boolean) is
  'The account that a provider''s names belong to, or null; remembers the names that are new. Raises 22023 ambiguous_user.';

revoke all on function credits_private.find_user(text, text[], boolean) from public, anon, authenticated, service_role;
