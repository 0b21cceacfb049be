-- read_stats: the figures of get_user_stats. Writes nothing.

create or replace function credits_private.read_stats(p_user_id uuid)
  returns public.user_stats
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_account public.user_credits := credits_private.read_account(p_user_id);
  v_stats public.user_stats;
begin
  select count(*) into v_stats.projects from public.projects as p where p.user_id = p_user_id;
  select count(*) into v_stats.exports
  from public.projects as p
  join public.exports as e on e.project_id = p.id
  where p.user_id = p_user_id;
  v_stats.lifetime_exports := v_stats.exports + coalesce(
    (select d.count from credits_private.deleted_exports as d where d.user_id = p_user_id), 0
  );
  v_stats.account_age := (select credits_private.now() - u.created_at from auth.users as u where u.id = p_user_id);
  v_stats.credits := v_account.credits_remaining;
  return v_stats;
end;
$$;

comment on function credits_private.read_stats(uuid) is
  'Projects, exports, age of the account and balance of a user. Raises PT404 account_not_found and PT410 account_closed.';

revoke all on function credits_private.read_stats(uuid) from public, anon, authenticated, service_role;
