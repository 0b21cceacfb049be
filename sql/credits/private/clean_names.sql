-- clean_names: the usable ones of the names by which a provider knows somebody.
--
-- Ids of users in lowercase (Swift prints a UUID in uppercase), no empty ones, and none of those that stand for nobody:
-- RevenueCat refuses them too, since an app that sends "guest" for everybody would share one customer among all.

create or replace function credits_private.clean_names(
  p_names text[]
)
  returns text[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_names pg_catalog.text[] := '{}'::pg_catalog.text[];
  v_name pg_catalog.text;
begin
  foreach v_name in array p_names[:100] loop
    if v_name like '________-____-____-____-____________' then
      v_name := lower(v_name);
    end if;
    if length(v_name) between 1 and 255
      and v_name <> all (v_names)
      and lower(v_name) not in (
        'null', 'none', 'nil', 'guest', '-1', '0', 'undefined', 'unknown', 'anonymous', '[]', '{}', 'no_user', 'unidentified'
      )
    then
      v_names := v_names || v_name;
    end if;
  end loop;
  return v_names;
end;
$$;

comment on function credits_private.clean_names(text[]) is
  'Names without those that stand for nobody and without repetitions, ids of users in lowercase, in the same order; of the first 100.';

revoke all on function credits_private.clean_names(text[]) from public, anon, authenticated, service_role;
