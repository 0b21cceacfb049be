-- open_accounts: opens the accounts of users who were there before credits-db, a batch at a time.
--
-- Called by credits-db push in transactions of its own, so that no user waits for all others, and by the migration
-- for whoever is left. Takes the next p_limit users without an account, in the order of their ids and from
-- p_from on, and says with which id to go on. The users are share-locked first, so no account outlives a deletion.
-- Of several users with one address or phone number the first has the bonus, as if they had come one by one.

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
  v_key pg_catalog.bytea[] := credits_private.identity_key();
  v_is_first boolean := not exists (select from credits_private.closed_identities as c);
  v_users pg_catalog.uuid[] := array(
    select u.id
    from auth.users as u
    where u.id >= p_from
      and u.deleted_at is null
      and not exists (select from public.user_credits as a where a.user_id = u.id and a.user_id >= p_from)
      and (v_is_first or not exists (
        select
        from credits_private.closed_identities as c
        where c.identity_hash = credits_private.identity_hash('user', u.id::pg_catalog.text, v_key)
      ))
    order by u.id
    limit p_limit
    for key share of u
  );
  v_bonus bigint := (select s.value::bigint from credits_private.settings as s where s.name = 'signup_bonus');
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  perform credits_private.adopt_accounts(v_users);
  with identities as materialized (
    select u.id, i.hash, row_number() over (partition by i.hash order by a.user_id, u.id) as place
    from auth.users as u
    left join public.user_credits as a on a.user_id = u.id  -- who brought a balance has had the bonus
    cross join lateral (
      select credits_private.identity_hash('address', u.email, v_key)
      union all
      select credits_private.identity_hash('phone', u.phone, v_key)
      where u.phone <> ''
    ) as i (hash)
    where u.id = any (v_users) and not u.is_anonymous and i.hash is not null and v_bonus > 0
  ),
  claimed as (
    insert into credits_private.bonus_claims (identity_hash, claimed_at)
    select i.hash, (v_now at time zone 'UTC')::pg_catalog.date
    from identities as i
    where i.place = 1
    order by i.hash
    on conflict (identity_hash) do nothing
    returning identity_hash
  ),
  refused as (
    select i.id
    from identities as i
    left join claimed as c on c.identity_hash = i.hash
    where i.place > 1 or c.identity_hash is null
  ),
  opened as (
    insert into public.user_credits (user_id, credits_remaining, total_credits, last_seq, created_at, updated_at)
    select u.id, b.bonus, b.bonus, sign(b.bonus), v_now, v_now
    from auth.users as u
    cross join lateral (
      select case when u.is_anonymous or u.id in (select r.id from refused as r) then 0 else v_bonus end
    ) as b (bonus)
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
