-- tell_holders: sees that those who hold an entitlement get a new recurring grant with their next spend.
--
-- A batch of holders for each grant that has not come to its end yet, in the order of their ids, from where the
-- last batch ended. Never waits for a balance: who is busy just now is told by the next call.

create or replace function credits_private.tell_holders(
  p_limit integer
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
  v_grant credits_private.recurring_grants;
  v_holders pg_catalog.uuid[];
  v_locked pg_catalog.uuid[];
  v_busy pg_catalog.uuid;
begin
  for v_grant in
    select g.*
    from credits_private.recurring_grants as g
    where g.user_id = '00000000-0000-0000-0000-000000000000' and g.told_to is not null
    order by g.name, g.starts_at
    for update skip locked
  loop
    v_holders := array(
      select e.user_id
      from public.user_entitlements as e
      where e.entitlement = v_grant.entitlement and e.user_id > v_grant.told_to
      order by e.user_id
      limit p_limit
    );
    v_locked := array(
      select a.user_id
      from public.user_credits as a
      where a.user_id = any (v_holders)
      for no key update skip locked
    );
    with told as (
      update public.user_credits as a
      -- also where it was due before: an operation with an older snapshot, which does not see the grant, fails (40001)
      set next_due_at = least(a.next_due_at, v_now)
      where a.user_id = any (v_locked)
      returning a.user_id, a.next_due_at
    )
    insert into credits_private.due_accounts as d (user_id, due_at)
    select t.user_id, t.next_due_at
    from told as t
    on conflict (user_id) do update
    set due_at = excluded.due_at;
    -- whoever is busy just now is told next time, and so is everybody after them
    select h.id into v_busy
    from unnest(v_holders) as h (id)
    join public.user_credits as a on a.user_id = h.id
    left join unnest(v_locked) as l (id) on l.id = h.id
    where l.id is null
    order by h.id
    limit 1;
    update credits_private.recurring_grants as g
    set told_to = case
      when v_busy is not null then coalesce(
        (select h.id from unnest(v_holders) as h (id) where h.id < v_busy order by h.id desc limit 1), g.told_to
      )
      when cardinality(v_holders) = p_limit then v_holders[p_limit]
    end
    where g.user_id = v_grant.user_id and g.name = v_grant.name and g.starts_at = v_grant.starts_at;
  end loop;
end;
$$;

comment on function credits_private.tell_holders(integer) is
  'Puts new grants of an entitlement into next_due_at of its holders, at most p_limit of them each (null for all).';

revoke all on function credits_private.tell_holders(integer) from public, anon, authenticated, service_role;
