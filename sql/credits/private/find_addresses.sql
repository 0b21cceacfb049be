-- find_addresses: whose addresses are these?
--
-- For import_balance, whose lines may name users by their address: thousands in one look at auth.users, which has no
-- index that could find one without its case. Who is meant when several users have an address is not decided here.

create or replace function credits_private.find_addresses(p_addresses text[])
  returns jsonb
  language sql
  stable
  set search_path = ''
as $$
  select coalesce(jsonb_object_agg(f.address, f.user_ids), '{}')
  from (
    select a.address, jsonb_agg(u.id order by u.id) as user_ids
    from (select distinct unnest(p_addresses) as address) as a
    join auth.users as u on lower(u.email) = lower(a.address) and u.deleted_at is null
    group by a.address
  ) as f;
$$;

comment on function credits_private.find_addresses(text[]) is
  'The ids of the users who have these addresses, in whatever case: {"address": ["id", ...]}, without those that nobody has.';

revoke all on function credits_private.find_addresses(text[]) from public, anon, authenticated, service_role;
