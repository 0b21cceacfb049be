-- forget_user: no event names somebody who has left, and nothing late brings them back.
--
-- The end of every deletion, also of a user who never had an account. Their events keep their figures and lose their
-- bodies; so do events of nobody that name them and have nothing left to do. What is somebody else's, or may be yet,
-- stays, with zeros where they were named: a payment that waits is closed only where it names them, by their id or a
-- name that a store had for them, and nobody else. An address proves nothing: anybody may pay with it, or have signed
-- up with it. Comes after balance and claims: the order in which an event is done.

create or replace function credits_private.forget_user(
  p_user_id uuid,
  p_address text
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_key pg_catalog.bytea[] := credits_private.identity_key();
  v_id pg_catalog.text := p_user_id::pg_catalog.text;
  v_words pg_catalog.text[] := array_remove(
    array[v_id, nullif(lower(btrim(p_address)), '')]
    || array(select c.name from credits_private.store_customers as c where c.user_id = p_user_id),
    null
  );
  v_event pg_catalog.record;
  v_is_named boolean;
begin
  insert into credits_private.closed_identities (identity_hash, closed_at)
  select i.hash, (credits_private.now() at time zone 'UTC')::pg_catalog.date
  from (
    select credits_private.identity_hash('user', v_id, v_key)
    union
    select credits_private.identity_hash('address', p_address, v_key)
    union
    select credits_private.identity_hash('name', c.provider || ':' || c.name, v_key)
    from credits_private.store_customers as c
    where c.user_id = p_user_id
  ) as i (hash)
  where i.hash is not null
  order by i.hash
  on conflict (identity_hash) do nothing;
  for v_event in
    select e.provider, e.event_id from credits_private.store_events as e where e.user_id = p_user_id
    union
    select n.provider, n.event_id from credits_private.store_event_names as n where n.name = any (v_words)
    order by provider, event_id
  loop
    v_is_named := exists (
      select
      from credits_private.store_event_names as n
      left join credits_private.store_customers as c
        on c.provider = n.provider and c.name = n.name and c.user_id = p_user_id
      where n.provider = v_event.provider
        and n.event_id = v_event.event_id
        and (n.name = v_id or c.user_id is not null)
    );
    update credits_private.store_events as e
    set
      body = credits_private.scrub_body(e.body, v_words),
      -- whose it is may have been the question
      retry_at = case when v_is_named and e.state = 'parked' then credits_private.now() else e.retry_at end
    where e.provider = v_event.provider
      and e.event_id = v_event.event_id
      and e.user_id is distinct from p_user_id
      and (
        e.user_id is not null
        or e.state in ('pending', 'parked', 'failed')
          and (not v_is_named or credits_private.names_others(p_user_id, e, v_key))
      );
    if found then
      delete from credits_private.store_event_names as n
      where n.name = any (v_words) and n.provider = v_event.provider and n.event_id = v_event.event_id;
      continue;
    end if;
    update credits_private.store_events as e
    set
      user_id = null,
      retry_at = null,
      state = case when e.state in ('pending', 'parked') then 'ignored' else e.state end,
      reason = case when e.state in ('pending', 'parked') then 'account_closed' else e.reason end,
      details = '{}',
      body = null,
      body_sha256 = coalesce(e.body_sha256, encode(sha256(convert_to(e.body::pg_catalog.text, 'UTF8')), 'hex'))
    where e.provider = v_event.provider and e.event_id = v_event.event_id;
    delete from credits_private.store_event_names as n
    where n.provider = v_event.provider and n.event_id = v_event.event_id;
  end loop;
  delete from credits_private.store_customers as c where c.user_id = p_user_id;
  update credits_private.settings as s
  set value = array_to_string(array_remove(string_to_array(s.value, ','), v_id), ',')
  where s.name = 'sandbox_users' and strpos(s.value, v_id) > 0;
end;
$$;

comment on function credits_private.forget_user(uuid, text) is
  'Takes a deleted user out of all events, and remembers by keyed hashes that they have left.';

revoke all on function credits_private.forget_user(uuid, text) from public, anon, authenticated, service_role;
