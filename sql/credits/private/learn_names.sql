-- learn_names: remembers whose names these are, and runs what was parked under them. Each name once, to who had it first.

create or replace function credits_private.learn_names(
  p_user_id uuid,
  p_provider text,
  p_names text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_learned pg_catalog.text[] := '{}'::pg_catalog.text[];
  v_name pg_catalog.text;
begin
  foreach v_name in array p_names loop
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

comment on function credits_private.learn_names(uuid, text, text[]) is
  'Remembers whose names these are, and runs the events that were parked under them.';

revoke all on function credits_private.learn_names(uuid, text, text[]) from public, anon, authenticated, service_role;
