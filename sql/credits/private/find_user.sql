-- find_user: which account do these names belong to?
--
-- A name is the id of a user, or one that an earlier event taught us (store_customers). Stripe's events name people in an
-- order of trust, and the first account counts; for RevenueCat all names are of one person, so two accounts among them
-- are a question for an operator, not a guess.

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
  v_user_id pg_catalog.uuid;
  v_accounts integer;
begin
  select (array_agg(f.user_id order by f.place))[1], count(distinct f.user_id)
  into v_user_id, v_accounts
  from (
    select u.id as user_id, n.place
    from unnest(p_names) with ordinality as n (name, place)
    join auth.users as u on u.id = case
      when n.name ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then n.name::pg_catalog.uuid
    end
    union all
    select c.user_id, n.place
    from unnest(p_names) with ordinality as n (name, place)
    join credits_private.store_customers as c on c.provider = p_provider and c.name = n.name
  ) as f;
  if v_accounts > 1 and p_provider <> 'stripe' then
    raise exception using
      errcode = '22023',
      message = 'ambiguous_user',
      detail = json_build_object('accounts', v_accounts),
      hint = 'The names in this event belong to more than one account.';
  end if;
  return v_user_id;
end;
$$;

comment on function credits_private.find_user(text, text[]) is
  'The account that a provider''s names belong to, or null. Raises 22023 ambiguous_user.';

revoke all on function credits_private.find_user(text, text[]) from public, anon, authenticated, service_role;
