-- count_unopened: how many users were there before credits-db and have no account yet, for the question that push asks.

create or replace function credits_private.count_unopened()
  returns jsonb
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_users bigint;
  v_rewarded bigint;
begin
  execute format(
    $query$
      select count(*), count(*) filter (where not u.is_anonymous and not %s)
      from auth.users as u
      where u.deleted_at is null and not exists (select from public.user_credits as a where a.user_id = u.id)
    $query$,
    case
      when to_regclass('credits_before.balances') is null then 'false'
      else 'exists (select from credits_before.balances as b where b.user_id = u.id)'
    end
  ) into v_users, v_rewarded;
  return jsonb_build_object(
    'users', v_users,
    'rewarded', v_rewarded,
    'bonus', (select s.value::bigint from credits_private.settings as s where s.name = 'signup_bonus')
  );
end;
$$;

comment on function credits_private.count_unopened() is
  'How many users have no account, how many of them get a signup bonus (who is not anonymous and had no credits before), and how large it is.';

revoke all on function credits_private.count_unopened() from public, anon, authenticated, service_role;
