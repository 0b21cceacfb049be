-- credits_before: what a user had before credits-db, while their account is not open yet.
--
-- For read_account, during the push that takes a live database over: nobody sees less than they had.

create or replace function credits_private.credits_before(p_user_id uuid)
  returns bigint
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_credits bigint;
begin
  if to_regclass('credits_before.balances') is not null then
    begin
      execute format('select b.credits from %s as b where b.user_id = $1', to_regclass('credits_before.balances'))
      into v_credits
      using p_user_id;
    exception
      when undefined_table then  -- the push has ended just now
        return null;
    end;
  end if;
  return v_credits;
end;
$$;

comment on function credits_private.credits_before(uuid) is
  'The balance in credits that a user brings from before; null for who brings none.';

revoke all on function credits_private.credits_before(uuid) from public, anon, authenticated, service_role;
