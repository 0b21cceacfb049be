-- set_due: works out anew when something of this user falls due next, and what the monthly grants come to.
--
-- The caller holds the lock of the balance. Called when what was due is written, and when grants or entitlements
-- change.

create or replace function credits_private.set_due(
  p_user_id uuid
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
  v_due pg_catalog.timestamptz := credits_private.next_end(p_user_id, '-infinity');
  v_monthly bigint;
begin
  select
    least(v_due, min(case when g.is_due then g.at else g.next_at end)),
    coalesce(sum(g.amount) filter (where g.period = 'month' and g.is_in_force), 0)::bigint
  into v_due, v_monthly
  from credits_private.find_grants(p_user_id, v_now) as g;
  update public.user_credits as a
  set
    next_due_at = v_due,
    monthly_bonus_credits = v_monthly
  where a.user_id = p_user_id
    and (a.next_due_at, a.monthly_bonus_credits) is distinct from (v_due, v_monthly);
  if not found then
    return;
  end if;
  if v_due is null then
    delete from credits_private.due_accounts as d where d.user_id = p_user_id;
  else
    insert into credits_private.due_accounts as d (user_id, due_at)
    values (p_user_id, v_due)
    on conflict (user_id) do update
    set due_at = excluded.due_at;
  end if;
end;
$$;

comment on function credits_private.set_due(uuid) is
  'Brings next_due_at and monthly_bonus_credits of a locked balance to what lots, holds and grants say.';

revoke all on function credits_private.set_due(uuid) from public, anon, authenticated, service_role;
