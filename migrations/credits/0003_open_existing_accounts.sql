-- Accounts for the users who were there before.
--
-- Everybody whose account is not open yet gets one, with the signup bonus (setting signup_bonus, 3 unless it
-- was changed) as a ledger row; anonymous users get the account alone. Running it again changes nothing.
--
-- depends: 0002_policies

with terms as (
  select s.value::bigint as bonus, credits_private.now() as at
  from credits_private.settings as s
  where s.name = 'signup_bonus'
),
opened as (
  insert into public.user_credits (user_id, credits_remaining, total_credits, last_seq, created_at, updated_at)
  select
    u.id,
    case when u.is_anonymous then 0 else t.bonus end,
    case when u.is_anonymous then 0 else t.bonus end,
    case when u.is_anonymous then 0 else sign(t.bonus) end,
    t.at,
    t.at
  from auth.users as u
  cross join terms as t
  where not exists (select from public.user_credits as a where a.user_id = u.id)
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

-- check: nobody is left out and every balance is its ledger
do $$
begin
  if exists (
    select
    from auth.users as u
    where not exists (select from public.user_credits as a where a.user_id = u.id)
  ) then
    raise exception 'a user has no account';
  end if;
  if exists (select from credits_private.verify_ledger(null)) then
    raise exception 'a balance is not the sum of its ledger';
  end if;
end;
$$;
