-- A project that is absent and one that is somebody else's are refused alike, and so is whatever is no sensible export;
-- none of it takes a credit.

begin;
select plan(24);

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
values
  ('c0000000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000000'),
  ('c0000000-0000-4000-8000-000000000001', 'b0000000-0000-4000-8000-000000000001'),
  ('c0000000-0000-4000-8000-000000000002', 'b0000000-0000-4000-8000-000000000002');
create temp table before as select * from public.user_credits;

-- what a refused call says: SQLSTATE, token, DETAIL
create function pg_temp.refusal(arguments text)
  returns text
  language plpgsql
as $$
declare
  v_detail text;
begin
  execute format('select public.consume_credit_and_create_export(%s)', arguments);
  return 'nothing';
exception
  when others then
    get stacked diagnostics v_detail = pg_exception_detail;
    return concat_ws(' ', sqlstate, sqlerrm, v_detail);
end;
$$;

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select is(
  pg_temp.refusal($$ 'b0000000-0000-4000-8000-000000000009', 'png' $$),
  'PT404 project_not_found {"project_id" : "b0000000-0000-4000-8000-000000000009"}', 'An absent project is refused.'
);
select is(
  pg_temp.refusal($$ 'b0000000-0000-4000-8000-000000000002', 'png' $$),
  'PT404 project_not_found {"project_id" : "b0000000-0000-4000-8000-000000000002"}', 'Somebody else''s in the same words.'
);
select is(
  pg_temp.refusal($$ 'b0000000-0000-4000-8000-000000000002', 'png', '{}', array['c0000000-0000-4000-8000-000000000002']::uuid[] $$),
  'PT404 project_not_found {"project_id" : "b0000000-0000-4000-8000-000000000002"}', 'Its layers make no difference.'
);
select is(pg_temp.refusal($$ null, 'png' $$), 'PT404 project_not_found {"project_id" : null}', 'Nor is null a project.');
select is(pg_temp.refusal($$ 'b0000000-0000-4000-8000-000000000000', $$ || type), '22023 invalid_argument ' || detail, what)
from (
  values
    ($$ null $$, '{"argument" : "type", "length" : null}', 'An export has a type.'),
    ($$ '' $$, '{"argument" : "type", "length" : 0}', 'An empty one is none.'),
    ($$ repeat('x', 101) $$, '{"argument" : "type", "length" : 101}', 'A long one is none.'),
    ($$ 'png', null $$, '{"argument" : "options"}', 'Options are an object.'),
    ($$ 'png', '[]' $$, '{"argument" : "options"}', 'No array.'),
    ($$ 'png', jsonb_build_object('a', repeat(md5('a'), 130)) $$, '{"argument" : "options"}', 'No large one.'),
    ($$ 'png', '{"a": 1e400}' $$, '{"argument" : "options"}', 'Without numbers that no double could hold.'),
    ($$ 'png', (select jsonb_object_agg(n, 1e300) from generate_series(1, 60) as n) $$, '{"argument" : "options"}', 'Nor many that print to a book.'),
    ($$ 'png', '{}', '{}' $$, '{"argument" : "layer_ids", "length" : 0}', 'No layers are not all.'),
    ($$ 'png', '{}', array[array['c0000000-0000-4000-8000-000000000000']]::uuid[] $$, '{"argument" : "layer_ids", "length" : 1}', 'Layers are one list.'),
    ($$ 'png', '{}', array_fill('c0000000-0000-4000-8000-000000000000'::uuid, array[1001]) $$, '{"argument" : "layer_ids", "length" : 1001}', 'No endless one.'),
    ($$ 'png', '{}', array['c0000000-0000-4000-8000-000000000001']::uuid[] $$, '{"argument" : "layer_ids"}', 'A layer of another project is refused.'),
    ($$ 'png', '{}', array['c0000000-0000-4000-8000-000000000002']::uuid[] $$, '{"argument" : "layer_ids"}', 'Somebody else''s in the same words.'),
    ($$ 'png', '{}', array['c0000000-0000-4000-8000-000000000009']::uuid[] $$, '{"argument" : "layer_ids"}', 'An absent one, too.'),
    ($$ 'png', '{}', array['c0000000-0000-4000-8000-000000000000', null]::uuid[] $$, '{"argument" : "layer_ids"}', 'Null is no layer.')
) as statements (type, detail, what);
select is(
  pg_temp.refusal($$ 'b0000000-0000-4000-8000-000000000000', 'png', idempotency_key => 'credits:x' $$),
  '22023 invalid_idempotency_key {"length" : 9}', 'Keys are as everywhere.'
);
select set_config('request.jwt.claims', '', true);
select is(pg_temp.refusal($$ 'b0000000-0000-4000-8000-000000000000', 'png' $$), 'PT401 not_authenticated {}', 'Nobody makes none.');
reset role;
select throws_ok(
  $$ select public.consume_credit_and_create_export_for('ada00000-0000-4000-8000-000000000009', 'b0000000-0000-4000-8000-000000000000', 'png') $$,
  'PT404', 'account_not_found', 'Nor does somebody who is not there.'
);
select throws_ok(
  $$ select public.consume_credit_and_create_export_for(null, 'b0000000-0000-4000-8000-000000000000', 'png') $$,
  'PT401', 'not_authenticated', 'Nor null.'
);
select results_eq('select * from public.user_credits', 'select * from before', 'Nothing was taken.');

select * from finish();
rollback;
