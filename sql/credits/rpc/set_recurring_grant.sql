-- set_recurring_grant: credits that come again every day, week or month.
--
-- For one user, or for all who hold an entitlement; what is left expires with the period, unless it rolls over.
-- Counts from now on, the present period included, and nobody has to do anything for it: the first spend writes it,
-- or maintenance. Set again under the same name, the new figures hold from the next period on.

create or replace function public.set_recurring_grant(
  name text,
  amount bigint,
  period public.grant_period,
  user_id uuid default null,
  entitlement text default null,
  rollover boolean default false
)
  returns public.recurring_grant
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_nobody constant pg_catalog.uuid := '00000000-0000-0000-0000-000000000000'::pg_catalog.uuid;
  v_grant credits_private.recurring_grants;
  v_old credits_private.recurring_grants;
  v_now pg_catalog.timestamptz;
  v_wrong pg_catalog.text := case
    when (name ~ '^[a-z][a-z0-9_-]{0,49}$') is not true then 'name'
    when period is null then 'period'
    when (user_id is null) = (entitlement is null) or user_id = v_nobody then 'user_id'
    when length(entitlement) not between 1 and 100 then 'entitlement'
    when rollover is null then 'rollover'
  end;
begin
  perform credits_private.check_entry(amount, null, '{}', null);
  if v_wrong is not null then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', v_wrong),
      hint = case v_wrong
        when 'name' then 'A name is a word in lowercase, up to 50 characters: daily, pro-monthly, ...'
        when 'user_id' then 'A grant is for one user or for an entitlement: give one of the two.'
        when 'entitlement' then 'An entitlement is a word of 1 to 100 characters.'
        when 'period' then 'A period is day, week or month.'
        else 'rollover is true or false.'
      end;
  end if;
  -- the same again changes nothing, and waits for nobody
  select g.* into v_old
  from credits_private.recurring_grants as g
  where g.user_id = coalesce(set_recurring_grant.user_id, v_nobody)
    and g.name = set_recurring_grant.name
    and g.ends_at is null
    and (g.entitlement, g.amount, g.period, g.rollover) is not distinct from (
      set_recurring_grant.entitlement, set_recurring_grant.amount, set_recurring_grant.period,
      set_recurring_grant.rollover
    );
  if found then
    return credits_private.show_grant(v_old);
  end if;
  if user_id is not null then
    perform credits_private.lock_account(user_id);
    perform credits_private.settle_account(user_id);
  else
    -- whoever gains the entitlement just now is either seen here or sees this grant; and one call comes after another
    lock table public.user_entitlements in share row exclusive mode;
  end if;
  v_now := credits_private.now();
  select g.* into v_old
  from credits_private.recurring_grants as g
  where g.user_id = coalesce(set_recurring_grant.user_id, v_nobody) and g.name = set_recurring_grant.name
  order by g.starts_at desc
  limit 1
  for update;
  if (v_old.entitlement, v_old.amount, v_old.period, v_old.rollover)
      is not distinct from (entitlement, amount, period, rollover)
    and v_old.ends_at is null
  then
    return credits_private.show_grant(v_old);
  end if;
  v_grant := row(
    coalesce(user_id, v_nobody), name, v_now, null::pg_catalog.timestamptz, entitlement, amount, period, rollover,
    null::pg_catalog.uuid
  );
  if v_old.starts_at > v_now then
    delete from credits_private.recurring_grants as g
    where g.user_id = v_old.user_id and g.name = v_old.name and g.starts_at = v_old.starts_at;
    v_grant.starts_at := v_old.starts_at;
  elsif v_old.name is not null and (v_old.ends_at > v_now) is not false then
    v_grant.starts_at := credits_private.period_after(v_old.period, v_now);
    update credits_private.recurring_grants as g
    set ends_at = v_grant.starts_at
    where g.user_id = v_old.user_id and g.name = v_old.name and g.starts_at = v_old.starts_at;
  elsif v_old.starts_at = v_now then
    -- set and ended at this very instant
    delete from credits_private.recurring_grants as g
    where g.user_id = v_old.user_id and g.name = v_old.name and g.starts_at = v_old.starts_at;
  end if;
  -- who held the old one has its end in next_due_at already
  if user_id is null and (v_grant.starts_at = v_now or v_old.entitlement <> entitlement) then
    v_grant.told_to := v_nobody;
  end if;
  insert into credits_private.recurring_grants as g
  select v_grant.*
  returning g.* into v_grant;
  if user_id is not null then
    perform credits_private.set_due(user_id);
  else
    perform credits_private.tell_holders(null);
    if current_setting('transaction_isolation') <> 'read committed' then
      -- a snapshot from before the lock may miss holders: maintenance tells everybody again
      update credits_private.recurring_grants as g
      set told_to = v_grant.told_to
      where g.user_id = v_grant.user_id and g.name = v_grant.name and g.starts_at = v_grant.starts_at;
    end if;
  end if;
  return credits_private.show_grant(v_grant);
end;
$$;

comment on function public.set_recurring_grant(text, bigint, public.grant_period, uuid, text, boolean) is
  'Give amount credits every period (day, week or month, in UTC) to one user or to all who hold an entitlement. Returns the grant. Raises PT404 account_not_found, PT410 account_closed, 22023 invalid_amount or invalid_argument.';

revoke all on function public.set_recurring_grant(text, bigint, public.grant_period, uuid, text, boolean)
  from public, anon, authenticated, service_role;
grant execute on function public.set_recurring_grant(text, bigint, public.grant_period, uuid, text, boolean) to service_role;
