-- finish_adoption: everybody has an account, so nobody's is opened from the tables of before any more.
--
-- Called by the migration that opens existing accounts. Takes away the views that adopt_accounts reads; the tables of before
-- stay in schema credits_before until somebody drops them. References that were made without a look at old rows are
-- checked now, where they hold.

create or replace function credits_private.finish_adoption()
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_before constant pg_catalog.name := 'credits_before'::pg_catalog.name;
  v_constraint pg_catalog.record;
begin
  for v_constraint in
    select k.conrelid::pg_catalog.regclass as table_name, k.conname
    from pg_catalog.pg_constraint as k
    where k.contype = 'f'
      and not k.convalidated
      and k.conrelid in (select to_regclass(r.relation) from credits_private.adopted_relations as r)
  loop
    begin
      execute format('alter table %s validate constraint %I', v_constraint.table_name, v_constraint.conname);
    exception
      when foreign_key_violation then
        raise notice '% has rows of users who are gone; they stay', v_constraint.table_name;
    end;
  end loop;
  if to_regclass('credits_before.balances') is not null then
    -- what was bought by somebody who is not here any more is not credited to anybody else
    execute format($claim$
      insert into credits_private.purchase_claims (store, environment, transaction_id, source, claimed_at, closed_account_id)
      select distinct on (p.store, p.environment, p.transaction_id)
        p.store, p.environment, p.transaction_id, 'adopted', coalesce(p.at, credits_private.now()),
        '00000000-0000-0000-0000-000000000000'::pg_catalog.uuid
      from %I.purchases as p
      order by p.store, p.environment, p.transaction_id
      on conflict (store, environment, transaction_id) do nothing
    $claim$, v_before);
    execute format(
      'drop %s %I.balances; drop view %I.purchases; drop view %I.transactions',
      case when exists (
        select from pg_catalog.pg_tables as t where (t.schemaname, t.tablename) = (v_before, 'balances')
      ) then 'table' else 'view' end,
      v_before, v_before, v_before
    );
  end if;
end;
$$;

comment on function credits_private.finish_adoption() is
  'Ends the opening of accounts from the tables of before, and checks their references.';

revoke all on function credits_private.finish_adoption() from public, anon, authenticated, service_role;
