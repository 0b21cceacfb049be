-- name_store_event: notes whom an event names, as long as it is nobody's or names others too.
--
-- So that a sign-up finds what waits for it, and a deletion every body with the user's id in it: of an event without a
-- user every id anywhere in the body, of another one those of its names that are not its user's.

create or replace function credits_private.name_store_event(
  p_event credits_private.store_events,
  p_names text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  insert into credits_private.store_event_names (name, provider, event_id)
  select n.name, p_event.provider, p_event.event_id
  from unnest(p_names) as n (name)
  where p_event.user_id is null
    or n.name like '________-____-____-____-____________' and n.name <> p_event.user_id::pg_catalog.text
  union
  select lower(m.match[1]), p_event.provider, p_event.event_id
  from regexp_matches(
    p_event.body::pg_catalog.text, '[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}', 'g'
  ) as m (match)
  where p_event.user_id is null
  on conflict (name, provider, event_id) do nothing;
end;
$$;

comment on function credits_private.name_store_event(credits_private.store_events, text[]) is
  'Notes the names in an event that are not its user''s.';

revoke all on function credits_private.name_store_event(credits_private.store_events, text[]) from public, anon, authenticated, service_role;
