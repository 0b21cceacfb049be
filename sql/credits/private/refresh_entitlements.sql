-- refresh_entitlements: what purchases and grants together give a user, and until when.
--
-- For the entitlements that something just happened to, under the lock of the balance. The longest of what was bought and
-- not refunded, and of what was granted; nothing of either, and the row goes.

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
begin
  foreach v_name in array p_entitlements loop
    select p.store, coalesce(p.entitled_until, 'infinity')
    into v_store, v_until
    from public.purchase_transactions as p
    where p.user_id = p_user_id and p.status = 'completed' and v_name = any (p.entitlements)
    order by p.entitled_until desc nulls first, p.store
    limit 1;
    select e.* into v_row
    from public.user_entitlements as e
    where e.user_id = p_user_id and e.entitlement = v_name;
    if v_row.granted_by is not null and (v_until is null or v_until < coalesce(v_row.granted_until, 'infinity')) then
      v_store := v_row.granted_by;
      v_until := coalesce(v_row.granted_until, 'infinity');
    end if;
    if v_until is null then
      delete from public.user_entitlements as e where e.user_id = p_user_id and e.entitlement = v_name;
    elsif v_row.user_id is null or (v_row.active_until, v_row.source) is distinct from (nullif(v_until, 'infinity'), v_store) then
      insert into public.user_entitlements as e (user_id, entitlement, active_until, source, updated_at)
      values (p_user_id, v_name, nullif(v_until, 'infinity'), v_store, credits_private.now())
      on conflict (user_id, entitlement) do update
      set
        active_until = excluded.active_until,
        source = excluded.source,
        updated_at = excluded.updated_at;
    end if;
  end loop;
end;
$$;

comment on function credits_private.refresh_entitlements(uuid, text[]) is
  'Brings entitlements of a user to what purchases and grants give.';

revoke all on function credits_private.refresh_entitlements(uuid, text[]) from public, anon, authenticated, service_role;
