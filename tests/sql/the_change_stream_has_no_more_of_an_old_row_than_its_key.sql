-- Where there is a publication for Realtime, balances and the ledger are in it, and nothing else of ours. What it says
-- of a row that has changed or gone is the primary key: row level security guards new rows only. And every table has a
-- key, without which a publication for all tables would let nobody change it.

begin;
select plan(4);

select results_eq(
  $$
    select m.schemaname::text collate "default", m.tablename::text collate "default", m.rowfilter collate "default"
    from pg_catalog.pg_publication_tables as m
    where m.pubname = 'supabase_realtime'
    order by m.tablename
  $$,
  $$
    select t.schema, t.name, null
    from (values ('public', 'credit_transactions'), ('public', 'user_credits')) as t (schema, name)
    where exists (select from pg_catalog.pg_publication as p where p.pubname = 'supabase_realtime')
  $$,
  'Both tables are published where anything is, and no others.'
);
select is_empty(
  $$
    select c.oid::regclass, c.relreplident
    from pg_catalog.pg_class as c
    where c.relnamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and c.relkind = 'r'
      and c.relreplident <> 'd'
  $$,
  'The replica identity of every table is its primary key.'
);
select results_eq(
  $$
    select c.relname::text collate "default", pg_get_constraintdef(k.oid)
    from pg_catalog.pg_class as c
    join pg_catalog.pg_constraint as k on k.conrelid = c.oid and k.contype = 'p'
    where c.oid in ('public.user_credits'::regclass, 'public.credit_transactions'::regclass)
    order by 1
  $$,
  $$ values ('credit_transactions', 'PRIMARY KEY (user_id, seq)'), ('user_credits', 'PRIMARY KEY (user_id)') $$,
  'Those of the published tables are a user and a number.'
);
select is_empty(
  $$
    select c.oid::regclass
    from pg_catalog.pg_class as c
    where c.relnamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and c.relkind = 'r'
      and not exists (select from pg_catalog.pg_constraint as k where k.conrelid = c.oid and k.contype = 'p')
  $$,
  'Every table has a primary key.'
);

select * from finish();
rollback;
