-- find_grants: the recurring grants of a user, as they stand at an instant.
--
-- Both who writes what is due and who only shows it ask here. In its present period a grant counts from the latest
-- of: the period's beginning, its own, that of the entitlement; and it counts if at that very instant it had not
-- ended and the entitlement was held, so that it makes no difference when somebody looks. Periods that are over are
-- never caught up, and who has no room below the limit of a balance gets nothing. Two rows of one name may share a
-- key, around a change: the earlier counts.

create or replace function credits_private.find_grants(
  p_user_id uuid,
  p_at timestamptz
)
  returns setof credits_private.due_grant
  language plpgsql
  stable
  rows 2
  set search_path = ''
as $$
begin
  perform from credits_private.recurring_grants as g
  where g.user_id in (p_user_id, '00000000-0000-0000-0000-000000000000');
  if not found then
    return;  -- most databases have none, and need not plan around them
  end if;
  return query
  select
    g.name,
    g.amount,
    g.period,
    k.key,
    case when (s.at >= b.until) is not true then s.at end,
    s.at <= p_at
      and (s.at >= b.until) is not true
      and a.credits_remaining + g.amount <= 9007199254740991
      and not exists (
        select from public.credit_transactions as t where t.user_id = p_user_id and t.idempotency_key = k.key
      ),
    case when not g.rollover then n.next_period end,
    case when (n.at >= b.until) is not true then n.at end,
    s.at <= p_at and (p_at >= b.until) is not true,
    g.rollover
  from credits_private.recurring_grants as g
  join public.user_credits as a on a.user_id = p_user_id
  left join public.user_entitlements as e on e.user_id = p_user_id and e.entitlement = g.entitlement
  cross join lateral (
    select
      credits_private.period_start(g.period, p_at) as period,
      least(g.ends_at, e.active_until) as until
  ) as b
  cross join lateral (
    select greatest(
      b.period,
      g.starts_at,
      e.active_since,
      -- who had it before has had the credits of this period
      case when e.transferred_at >= b.period then credits_private.period_after(g.period, p_at) end
    ) as at
  ) as s
  cross join lateral (
    select
      p.next_period,
      case when s.at > p_at then s.at else p.next_period end as at
    from (select credits_private.period_after(g.period, p_at) as next_period) as p
  ) as n
  cross join lateral (
    select concat_ws(
      ':', 'credits:grant', case when g.entitlement is null then 'user' else 'all' end, g.name, g.period,
      to_char(b.period at time zone 'UTC', 'YYYY-MM-DD')
    ) as key
  ) as k
  where g.user_id in (p_user_id, '00000000-0000-0000-0000-000000000000')
    and (g.entitlement is null or e.user_id is not null)
    and (g.ends_at > b.period) is not false;
end;
$$;

comment on function credits_private.find_grants(uuid, timestamptz) is
  'The recurring grants that concern a user at an instant, each with when it counts and whether it waits to be written.';

revoke all on function credits_private.find_grants(uuid, timestamptz) from public, anon, authenticated, service_role;
