-- open_accounts: opens the accounts of users who were there before credits-db, a batch at a time.
--
-- Called by credits-db push in transactions of its own, so that no user waits for all others, and by the migration
-- for whoever is left. Takes the next p_limit users without an account, in the order of their ids and from
-- p_from on, and says with which id to go on. The users are share-locked first, so no account outlives a deletion.

create or replace function credits_private.open_accounts(
  p_from uuid,
  p_limit integer
)
  returns uuid
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_users pg_catalog.uuid[] := array(
    select u.id
    from auth.users as u
    where u.id >= p_from
      and not exists (select from public.user_credits as a where a.user_id = u.id and a.user_id >= p_from)
    order by u.id
    limit p_limit
    for key share of u
  );
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  perform credits_private.adopt_accounts(v_users);
  with opened as (
    insert into public.user_credits (user_id, credits_remaining, total_credits, last_seq, created_at, updated_at)
    select u.id, b.bonus, b.bonus, sign(b.bonus), v_now, v_now
    from auth.users as u
    cross join lateral credits_private.signup_bonus_for(u.id) as b (bonus)
    where u.id = any (v_users)
    on conflict (user_id) do nothing
    returning *
  )
  insert into public.credit_transactions (
    user_id, seq, amount, balance_after, created_at, type, idempotency_key, description
  )
  select
    o.user_id, o.last_seq, o.credits_remaining, o.credits_remaining, o.created_at,
    'signup_bonus', 'credits:signup_bonus', 'Signup bonus'
  from opened as o
  where o.last_seq > 0;
  return v_users[cardinality(v_users)];
end;
$$;

comment on function credits_private.open_accounts(uuid, integer) is
  'Opens accounts, with the signup bonus, for the next p_limit users who have none, from the id p_from on. Returns the last of them, to go on with; null when nobody was left.';

revoke all on function credits_private.open_accounts(uuid, integer) from public, anon, authenticated, service_role;
