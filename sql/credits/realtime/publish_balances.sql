-- publish_balances: balances and ledger join the publication that Supabase Realtime reads, where there is one.
--
-- Once, in a migration: who takes them out again keeps them out. Realtime shows a changed row to those whom row level
-- security lets read it, but nothing guards an old row: of that the stream has the key and no more, since the replica
-- identity stays the primary key. Tables of before, moved to credits_before, leave: their names are ours now. A
-- publication that has ours anyway (for all tables, or for schema public) is left alone.

do $$
declare
  v_changes pg_catalog.text;
begin
  select string_agg(format('alter publication supabase_realtime %s table %I.%I;', c.verb, c.schema, c.name), ' ')
  into v_changes
  from pg_catalog.pg_publication as p
  cross join lateral (
    select 'drop' as verb, n.nspname as schema, t.relname as name
    from pg_catalog.pg_publication_rel as r
    join pg_catalog.pg_class as t on t.oid = r.prrelid
    join pg_catalog.pg_namespace as n on n.oid = t.relnamespace and n.nspname = 'credits_before'
    where r.prpubid = p.oid
    union all
    select 'add', 'public', w.name
    from unnest(array['user_credits', 'credit_transactions']) as w (name)
    where not exists (
      select
      from pg_catalog.pg_publication_tables as m
      where (m.pubname, m.schemaname, m.tablename) = (p.pubname, 'public', w.name)
    )
  ) as c
  where p.pubname = 'supabase_realtime';
  if v_changes is not null then
    execute v_changes;
  end if;
exception
  when insufficient_privilege then
    raise notice 'Realtime does not show balances: %. Whoever owns the publication may run: %', sqlerrm, v_changes;
end;
$$;
