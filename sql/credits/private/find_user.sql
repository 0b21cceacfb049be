-- find_user: which account do these names belong to?
--
-- A name is the id of a user, or one that an earlier event taught us (store_customers). Stripe's events name people in an
-- order of trust, and the first account counts; for RevenueCat all names are of one person, so two accounts among them
-- are a question for an operator, not a guess. Names that nobody has yet are remembered for the one who is found.

create or replace function credits_private.find_user(
  p_provider text,
  p_names text[]
)
  returns uuid
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_ids pg_catalog.uuid[] := '{}';
  v_others pg_catalog.text[] := '{}';
  v_accounts pg_catalog.uuid[] := '{}';
  v_name pg_catalog.text;
begin
  foreach v_name in array p_names loop
    if credits_private.is_user_id(v_name) then
      v_ids := v_ids || v_name::pg_catalog.uuid;
    else
      v_others := v_others || v_name;
    end if;
  end loop;
  if v_ids <> '{}' then
    v_accounts := array(select u.id from auth.users as u where u.id = any (v_ids));
    if cardinality(v_accounts) > 1 then
      v_accounts := array(select i.id from unnest(v_ids) with ordinality as i (id, place) where i.id = any (v_accounts) order by i.place);
    end if;
  end if;
  if v_others <> '{}' and (p_provider <> 'stripe' or v_accounts = '{}') then
    v_accounts := v_accounts || array(
      select c.user_id from credits_private.store_customers as c where c.provider = p_provider and c.name = any (v_others)
    );
  end if;
  if p_provider <> 'stripe' and v_accounts[1] <> any (v_accounts) then
    raise exception using
      errcode = '22023',
      message = 'ambiguous_user',
      detail = '{}',
      hint = 'The names in this event belong to more than one account.';
  end if;
  return v_accounts[1];
end;
$$;

comment on function credits_private.find_user(text, text[]) is
  'The account that a provider''s names belong to, or null. Raises 22023 ambiguous_user.';

revoke all on function credits_private.find_user(text, text[]) from public, anon, authenticated, service_role;
