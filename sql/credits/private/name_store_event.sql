-- name_store_event: notes whom an event names beside its own user.
--
-- So that a sign-up finds what waits for it, and a deletion every body with the user's id or address in it: of an event
-- without a user all names and every id and address anywhere in the body, of another one the ids of other users and
-- addresses that are not its user's.

create or replace function credits_private.name_store_event(
  p_event credits_private.store_events,
  p_names text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_address pg_catalog.text := (select lower(u.email) from auth.users as u where u.id = p_event.user_id);
begin
  insert into credits_private.store_event_names (name, provider, event_id)
  select n.name, p_event.provider, p_event.event_id
  from unnest(p_names) as n (name)
  where p_event.user_id is null
    or n.name like '________-____-____-____-____________' and n.name <> p_event.user_id::pg_catalog.text
  union
  select n.name, p_event.provider, p_event.event_id
  from unnest(credits_private.names_in(p_event.body)) as n (name)
  where p_event.user_id is null
    or n.name like '%@%' and n.name is distinct from v_address
    or n.name not like '%@%' and n.name <> p_event.user_id::pg_catalog.text
      and exists (select from auth.users as u where u.id = n.name::pg_catalog.uuid)
  on conflict (name, provider, event_id) do nothing;
end;
$$;

comment on function credits_private.name_store_event(credits_private.store_events, text[]) is
  'Notes the names in an event that are not its user''s.';

revoke all on function credits_private.name_store_event(credits_private.store_events, text[]) from public, anon, authenticated, service_role;
