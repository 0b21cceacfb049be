-- learn_names: remembers which user the names beside theirs belong to, and runs what was parked under them.
--
-- Ids of users are not learned: they speak for themselves.

create or replace function credits_private.learn_names(
  p_provider text,
  p_names text[],
  p_user_id uuid
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_learned pg_catalog.text[];
begin
  with learned as (
    insert into credits_private.store_customers (provider, name, user_id)
    select distinct p_provider, n.name, p_user_id
    from unnest(p_names) as n (name)
    where n.name !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
      and not exists (
        select from credits_private.store_customers as c where c.provider = p_provider and c.name = n.name
      )
    on conflict (provider, name) do nothing
    returning name
  )
  select array_agg(l.name) into v_learned from learned as l;
  if v_learned is not null then
    perform credits_private.run_parked_events(v_learned);
  end if;
end;
$$;

comment on function credits_private.learn_names(text, text[], uuid) is
  'Remembers whose names these are, and runs the events that were parked under them.';

revoke all on function credits_private.learn_names(text, text[], uuid) from public, anon, authenticated, service_role;
