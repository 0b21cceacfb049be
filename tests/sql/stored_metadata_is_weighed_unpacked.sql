-- Metadata that comes from a column of a table may be compressed there. It is weighed as what it is, however
-- well it packs, also in a session that has made many calls and plans them no more.

begin;
select plan(6);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
create temp table before as select * from public.user_credits;
create temp table stored (metadata jsonb);
insert into stored values (jsonb_build_object('a', repeat('x', 16000)));
grant select on stored to public;
set local plan_cache_mode = force_generic_plan;

select ok((select pg_column_size(metadata) < 4096 from stored), 'These 16 kB take up less than 4 in their table.');

set local role service_role;
select throws_ok(
  $$
    select public.add_credits_for(
      'ada00000-0000-4000-8000-000000000000', 1, metadata => (select metadata from pg_temp.stored)
    )
  $$,
  '22023', 'invalid_metadata',
  'They are refused when credits are added.'
);
select throws_ok(
  $$
    select public.consume_credit_for(
      'ada00000-0000-4000-8000-000000000000', 1, metadata => (select metadata from pg_temp.stored)
    )
  $$,
  '22023', 'invalid_metadata',
  'They are refused when credits are spent.'
);
select throws_ok(
  $$
    insert into public.credit_transactions (user_id, type, amount, metadata)
    select 'ada00000-0000-4000-8000-000000000000', 'bonus', 1, metadata
    from pg_temp.stored
  $$,
  '22023', 'invalid_metadata',
  'They are refused when a row is inserted.'
);

reset role;
select results_eq('select * from public.user_credits', 'select * from before', 'The balance is as it was.');
select is((select count(*) from public.credit_transactions), 1::bigint, 'The ledger is as it was.');

select * from finish();
rollback;
