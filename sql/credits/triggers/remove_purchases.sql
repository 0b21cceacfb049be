-- remove_purchases: what an account that has just gone leaves of its purchases.
--
-- Purchases, entitlements and names go with it. Claims stay, closed and without the user, so that nobody is credited
-- for the same transactions again; events keep their figures and lose their bodies, which name people. An entitlement
-- that was transferred stays with who has it.

create or replace function credits_private.remove_purchases()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
declare
  v_name pg_catalog.text := old.user_id::pg_catalog.text;
  v_others pg_catalog.text[] := array(select c.name from credits_private.store_customers as c where c.user_id = old.user_id);
  v_nobody constant pg_catalog.text := '00000000-0000-0000-0000-000000000000';
  v_other pg_catalog.text;
  v_body pg_catalog.text;
  v_event pg_catalog.record;
  v_given pg_catalog.record;
begin
  for v_given in
    select c.entitled_user_id as user_id, n.name, max(coalesce(p.entitled_until, 'infinity')) as until
    from credits_private.purchase_claims as c
    join public.purchase_transactions as p
      on p.user_id = c.user_id
      and p.store = c.store
      and p.environment = c.environment
      and p.transaction_id = c.transaction_id
    cross join lateral unnest(p.entitlements) as n (name)
    where c.user_id = old.user_id and c.entitled_user_id is not null and p.status = 'completed'
    group by c.entitled_user_id, n.name
    order by c.entitled_user_id, n.name
  loop
    update public.user_entitlements as e
    set
      granted_by = coalesce(e.granted_by, 'transfer'),
      granted_until = nullif(
        greatest(v_given.until, case when e.granted_by is not null then coalesce(e.granted_until, 'infinity') end),
        'infinity'
      )
    where e.user_id = v_given.user_id and e.entitlement = v_given.name;
    perform credits_private.refresh_entitlements(v_given.user_id, array[v_given.name]);
  end loop;
  delete from public.user_entitlements as e where e.user_id = old.user_id;
  delete from public.purchase_transactions as p where p.user_id = old.user_id;
  update credits_private.purchase_claims as c
  set user_id = null, is_closed = true
  where c.user_id = old.user_id;
  update credits_private.purchase_claims as c
  set entitled_user_id = '00000000-0000-0000-0000-000000000000'
  where c.entitled_user_id = old.user_id;
  for v_event in
    select e.provider, e.event_id from credits_private.store_events as e where e.user_id = old.user_id
    union
    select n.provider, n.event_id from credits_private.store_event_names as n where n.name = v_name
    union
    select n.provider, n.event_id from credits_private.store_event_names as n where n.name = any (v_others)
  loop
    -- what may be somebody else's goes on, with no name of this user
    select regexp_replace(e.body::pg_catalog.text, v_name, v_nobody, 'gi')
    into v_body
    from credits_private.store_events as e
    where e.provider = v_event.provider and e.event_id = v_event.event_id;
    foreach v_other in array v_others loop
      v_body := replace(v_body, v_other, v_nobody);
    end loop;
    update credits_private.store_events as e
    set body = v_body::pg_catalog.json, retry_at = credits_private.now()
    where e.provider = v_event.provider
      and e.event_id = v_event.event_id
      and e.user_id is null
      and e.state in ('pending', 'parked', 'failed')
      and exists (
        select
        from credits_private.store_event_names as n
        where n.provider = e.provider
          and n.event_id = e.event_id
          and n.name <> v_name
          and exists (
            select
            from auth.users as u
            where u.id = case when n.name like '________-____-____-____-____________' then n.name::pg_catalog.uuid end
          )
      );
    if found then
      delete from credits_private.store_event_names as n
      where n.name = any (v_name || v_others) and n.provider = v_event.provider and n.event_id = v_event.event_id;
      continue;
    end if;
    update credits_private.store_events as e
    set
      user_id = null,
      retry_at = null,
      state = case when e.state in ('pending', 'parked') then 'ignored' else e.state end,
      reason = case when e.state in ('pending', 'parked') then 'account_closed' else e.reason end,
      body = null,
      body_sha256 = coalesce(e.body_sha256, encode(sha256(convert_to(e.body::pg_catalog.text, 'UTF8')), 'hex'))
    where e.provider = v_event.provider and e.event_id = v_event.event_id;
    delete from credits_private.store_event_names as n
    where n.provider = v_event.provider and n.event_id = v_event.event_id;
  end loop;
  delete from credits_private.store_customers as c where c.user_id = old.user_id;
  update credits_private.settings as s
  set value = array_to_string(array_remove(string_to_array(s.value, ','), v_name), ',')
  where s.name = 'sandbox_users' and strpos(s.value, v_name) > 0;
  return null;
end;
$$;

comment on function credits_private.remove_purchases() is
  'Trigger on user_credits: removes purchases and entitlements of a deleted account, closes its claims, and empties its events.';

revoke all on function credits_private.remove_purchases() from public, anon, authenticated, service_role;

create or replace trigger remove_purchases
  after delete on public.user_credits
  for each row
  execute function credits_private.remove_purchases();

alter table public.user_credits enable always trigger remove_purchases;

comment on trigger remove_purchases on public.user_credits is
  'Purchases go with their account; claims stay without it.';
