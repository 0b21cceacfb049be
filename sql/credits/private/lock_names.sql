-- lock_names: a sign-up and an event that names its user come one after the other.
--
-- Neither sees the other before it has committed: without this, an event could park while its user signs up. Held to the end of
-- the transaction, taken in one order.

create or replace function credits_private.lock_names(
  p_names text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_name pg_catalog.text;
begin
  for v_name in
    select distinct n.name
    from unnest(p_names) as n (name)
    where n.name like '________-____-____-____-____________'
    order by n.name
  loop
    perform pg_advisory_xact_lock(hashtextextended('credits_private.store_event_names:' || v_name, 0));
  end loop;
end;
$$;

comment on function credits_private.lock_names(text[]) is
  'Locks the ids of users among these names, until the transaction ends.';

revoke all on function credits_private.lock_names(text[]) from public, anon, authenticated, service_role;
