-- The same key returns the same export, as it is by now, and takes nothing. A key that means anything else is refused:
-- another export, a plain spend, a hold, or an export that was deleted since.

begin;
select plan(21);

insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
insert into public.projects (id, user_id)
values
  ('b0000000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000'),
  ('b0000000-0000-4000-8000-000000000001', 'ada00000-0000-4000-8000-000000000000'),
  ('b0000000-0000-4000-8000-000000000002', 'bea00000-0000-4000-8000-000000000000');
insert into public.project_layers (id, project_id)
values ('c0000000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000000');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 7);

create function pg_temp.make(key text, layers uuid[] default null, type text default 'png', options jsonb default '{"a": 1}', project int default 0)
  returns uuid
  language sql
as $$
  select (public.consume_credit_and_create_export_for(
    'ada00000-0000-4000-8000-000000000000', ('b0000000-0000-4000-8000-00000000000' || project)::uuid, type, options, layers, key
  )).id;
$$;
create temp table first as select pg_temp.make('k', array['c0000000-0000-4000-8000-000000000000']::uuid[]) as id;
update public.exports set status = 'done', asset_path = 'a.png';
-- a worker may change what it likes
update public.exports set options = options || '{"w": 1}', type = 'image/png', layer_ids = null;
create temp table before as select a.*, (select count(*) from public.exports) from public.user_credits as a;

select is(pg_temp.make('k', array['c0000000-0000-4000-8000-000000000000']::uuid[], options => '{"a": 1.0}'), (select id from first), 'The same key is the same export.');
select results_eq('select status, asset_path from public.exports', $$ values ('done', 'a.png') $$, 'It stays as it is.');
delete from public.project_layers;
select is(pg_temp.make('k', array['c0000000-0000-4000-8000-000000000000']::uuid[]), (select id from first), 'Also when its layer has gone since.');
select results_eq(
  'select a.*, (select count(*) from public.exports) from public.user_credits as a', 'select * from before',
  'Nothing is taken and no other is made.'
);
select throws_ok(statement, 'PT422', 'idempotency_key_reused', what)
from (
  values
    ($$ select pg_temp.make('k') $$, 'All layers are not some.'),
    ($$ select pg_temp.make('k', array['c0000000-0000-4000-8000-000000000000']::uuid[], type => 'psd') $$, 'Another type is another export.'),
    ($$ select pg_temp.make('k', array['c0000000-0000-4000-8000-000000000000']::uuid[], options => '{}') $$, 'Other options are another export.'),
    ($$ select pg_temp.make('k', array['c0000000-0000-4000-8000-000000000000']::uuid[], project => 1) $$, 'Another project is another export.'),
    ($$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', idempotency_key => 'k') $$, 'The key of an export is no spend''s.')
) as statements (statement, what);

select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', description => 'Export', idempotency_key => 'spent');
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1, idempotency_key => 'held');
select throws_ok($$ select pg_temp.make('spent') $$, 'PT422', 'idempotency_key_reused', 'Nor is the key of a spend an export''s.');
select throws_ok($$ select pg_temp.make('held') $$, 'PT422', 'idempotency_key_reused', 'Nor that of a hold.');
select public.grant_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro');
select throws_ok($$ select pg_temp.make('spent') $$, 'PT422', 'idempotency_key_reused', 'Not for a Pro either, who writes no ledger row.');
select throws_ok($$ select pg_temp.make('held') $$, 'PT422', 'idempotency_key_reused', 'Nor that of a hold, for a Pro.');

select pg_temp.make('included');
delete from public.exports;
create function pg_temp.hint_of(statement text)
  returns text
  language plpgsql
as $$
declare
  v_hint text;
begin
  execute statement;
  return 'none';
exception
  when sqlstate 'PT422' then
    get stacked diagnostics v_hint = pg_exception_hint;
    return v_hint;
end;
$$;
select is(
  starts_with(pg_temp.hint_of($$ select pg_temp.make('k', array['c0000000-0000-4000-8000-000000000000']::uuid[]) $$), 'The export of this key was deleted'), true,
  'The key of a deleted export stays used, and says so.'
);
select is(
  starts_with(pg_temp.hint_of($$ select pg_temp.make('included') $$), 'The export of this key was deleted'), true,
  'Also one that cost nothing.'
);
select is(
  starts_with(pg_temp.hint_of($$ select pg_temp.make('k') $$), 'This key already names another operation'), true,
  'Another meaning is told as such.'
);
insert into public.exports (user_id, project_id, type, idempotency_key)
values ('ada00000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000000', 'png', 'by a service');
select throws_ok($$ select pg_temp.make('by a service') $$, 'PT422', 'idempotency_key_reused', 'A key that a service has used is no other''s.');
select is_empty(
  $$ select from credits_private.export_keys where user_id = 'ada00000-0000-4000-8000-000000000000' and idempotency_key not in ('k', 'included') $$,
  'What was refused leaves nothing.'
);
select isnt(pg_temp.make(null), pg_temp.make(null), 'Without a key each call is an export of its own.');
select lives_ok(
  $$
    select public.consume_credit_and_create_export_for(
      'bea00000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000002', 'png', idempotency_key => 'k'
    )
  $$,
  'A key belongs to one user.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
