-- refresh_entitlements: what purchases and grants together give a user, and until when.
--
-- For the entitlements that something just happened to. The longest of what was bought and not refunded (and not
-- transferred away), and of what was granted; nothing of either, and the row goes. The last lock of a transaction,
-- one by user, because a purchase may give an entitlement to somebody whose balance is not locked. Where a
-- recurring grant hangs on one of them, what it gave so far is written first and next_due_at is set after, if the
-- balance is ours or free.

create or replace function credits_private.refresh_entitlements(
  p_user_id uuid,
  p_entitlements text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_name pg_catalog.text;
  v_store pg_catalog.text;
  v_until pg_catalog.timestamptz;
  v_row public.user_entitlements;
  v_has_grants boolean;
  v_is_locked boolean := false;
  v_is_transfer boolean;
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  if p_user_id = '00000000-0000-0000-0000-000000000000' then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('credits_private.user_entitlements:' || p_user_id::pg_catalog.text, 0));
  v_has_grants := exists (select from credits_private.recurring_grants as g where g.entitlement = any (p_entitlements));
  if v_has_grants then
    perform
    from public.user_credits as a
    join auth.users as u on u.id = a.user_id
    where a.user_id = p_user_id
    for key share of u skip locked
    for no key update of a skip locked;
    v_is_locked := found;
    if v_is_locked then
      perform credits_private.settle_account(p_user_id);
    end if;
  end if;
  foreach v_name in array p_entitlements loop
    select b.store, b.until, b.is_transfer
    into v_store, v_until, v_is_transfer
    from (
      select p.store, coalesce(p.entitled_until, 'infinity') as until, false as is_transfer
      from public.purchase_transactions as p
      join credits_private.purchase_claims as c
        on c.store = p.store and c.environment = p.environment and c.transaction_id = p.transaction_id
      where p.user_id = p_user_id
        and p.status = 'completed'
        and v_name = any (p.entitlements)
        and coalesce(c.entitled_user_id, p_user_id) = p_user_id
      union all
      select p.store, coalesce(p.entitled_until, 'infinity'), true
      from credits_private.purchase_claims as c
      join public.purchase_transactions as p
        on p.user_id = c.user_id
        and p.store = c.store
        and p.environment = c.environment
        and p.transaction_id = c.transaction_id
      where c.entitled_user_id = p_user_id and p.status = 'completed' and v_name = any (p.entitlements)
    ) as b
    order by b.until desc, b.is_transfer, b.store
    limit 1;
    select e.* into v_row
    from public.user_entitlements as e
    where e.user_id = p_user_id and e.entitlement = v_name;
    if v_row.granted_by is not null and (v_until is null or v_until < coalesce(v_row.granted_until, 'infinity')) then
      v_store := v_row.granted_by;
      v_is_transfer := v_row.granted_by = 'transfer';
      v_until := coalesce(v_row.granted_until, 'infinity');
    end if;
    if v_until is null then
      delete from public.user_entitlements as e where e.user_id = p_user_id and e.entitlement = v_name;
    elsif v_row.user_id is null
      or (v_row.active_until, v_row.source) is distinct from (nullif(v_until, 'infinity'), v_store)
    then
      insert into public.user_entitlements as e (
        user_id, entitlement, active_until, source, updated_at, active_since, transferred_at
      )
      values (
        p_user_id, v_name, nullif(v_until, 'infinity'), v_store, v_now, v_now, case when v_is_transfer then v_now end
      )
      on conflict (user_id, entitlement) do update
      set
        active_until = excluded.active_until,
        source = excluded.source,
        updated_at = excluded.updated_at,
        active_since = case when e.active_until <= v_now then v_now else e.active_since end,
        transferred_at = case
          when not v_is_transfer then null
          when e.active_until <= v_now then v_now
          else e.transferred_at
        end;
    end if;
  end loop;
  if v_is_locked then
    perform credits_private.set_due(p_user_id);
  elsif v_has_grants then
    update credits_private.recurring_grants as g
    set told_to = '00000000-0000-0000-0000-000000000000'
    where g.entitlement = any (p_entitlements) and (g.ends_at > v_now) is not false;
  end if;
end;
$$;

comment on function credits_private.refresh_entitlements(uuid, text[]) is
  'Brings entitlements of a user to what purchases and grants give.';

revoke all on function credits_private.refresh_entitlements(uuid, text[]) from public, anon, authenticated, service_role;
