-- learn_names: remembers which user the names beside theirs belong to, and runs what was parked under them.
--
-- Ids of users are not learned: they speak for themselves. Each name once, to who had it first.

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
  v_others pg_catalog.text[] := '{}';
  v_learned pg_catalog.text[] := '{}';
  v_name pg_catalog.text;
begin
  foreach v_name in array p_names loop
    if not credits_private.is_user_id(v_name) then
      v_others := v_others || v_name;
    end if;
  end loop;
  if v_others = '{}' or cardinality(v_others) = (
    select count(*) from credits_private.store_customers as c where c.provider = p_provider and c.name = any (v_others)
  ) then
    return;
  end if;
  foreach v_name in array v_others loop
    insert into credits_private.store_customers (provider, name, user_id)
    values (p_provider, v_name, p_user_id)
    on conflict (provider, name) do nothing;
    if found then
      v_learned := v_learned || v_name;
    end if;
  end loop;
  if v_learned <> '{}' then
    perform credits_private.run_parked_events(v_learned);
  end if;
end;
$$;

comment on function credits_private.learn_names(text, text[], uuid) is
  'Remembers whose names these are, and runs the events that were parked under them.';

revoke all on function credits_private.learn_names(text, text[], uuid) from public, anon, authenticated, service_role;
