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
begin
  return array(
    select case when n.name ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then lower(n.name) else n.name end
    from unnest(p_names) with ordinality as n (name, place)
    where length(n.name) between 1 and 255
      and lower(n.name) not in (
        'null', 'none', 'nil', 'guest', '-1', '0', 'undefined', 'unknown', 'anonymous', '[]', '{}', 'no_user', 'unidentified'
      )
    order by n.place
    limit 100
  );
end;
$$;

comment on function credits_private.clean_names(text[]) is
  'Names without those that stand for nobody, ids of users in lowercase, in the same order, 100 at most.';

revoke all on function credits_private.clean_names(text[]) from public, anon, authenticated, service_role;
