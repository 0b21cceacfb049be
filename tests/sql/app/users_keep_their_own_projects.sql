-- Users make, read, change and delete their own projects and layers, read and delete their exports, and can neither see
-- nor touch anybody else's. A project is given to nobody, a layer put into nobody's project, an export made by nobody but
-- who takes the credit. Paths in storage are written by services, but for one's own upload.

begin;
select plan(42);

insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
insert into public.projects (id, user_id)
values
  ('b0000000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000'),
  ('b0000000-0000-4000-8000-000000000002', 'bea00000-0000-4000-8000-000000000000');
insert into public.project_layers (id, project_id)
values
  ('c0000000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000000'),
  ('c0000000-0000-4000-8000-000000000002', 'b0000000-0000-4000-8000-000000000002');
select public.consume_credit_and_create_export_for('ada00000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000000', 'png');
select public.consume_credit_and_create_export_for('bea00000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000002', 'png');
create temp table beas as
select p, y, e, f
from public.projects as p
join public.project_layers as y on y.project_id = p.id
join public.exports as e on e.project_id = p.id
join public.profiles as f on f.id = p.user_id
where p.id = 'b0000000-0000-4000-8000-000000000002';
update public.projects set updated_at = '2000-01-01' where id = 'b0000000-0000-4000-8000-000000000000';
create temp table touched as select updated_at from public.projects where id = 'b0000000-0000-4000-8000-000000000000';
grant select on touched to public;

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select is((select count(*) from public.projects), 1::bigint, 'Ada sees her project.');
select is((select count(*) from public.project_layers), 1::bigint, 'And her layer.');
select is((select count(*) from public.exports), 1::bigint, 'And her export.');
select results_eq('select id, email from public.profiles', $$ values ('ada00000-0000-4000-8000-000000000000'::uuid, 'ada@example.com') $$, 'And herself.');
select results_eq('select id, email, credits_balance from public.users', $$ values ('ada00000-0000-4000-8000-000000000000'::uuid, 'ada@example.com', 2::bigint) $$, 'With her balance.');

select lives_ok(
  $$ insert into public.projects (id, user_id, source_image_path) values ('b0000000-0000-4000-8000-000000000001', 'ada00000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000/cat.png') $$,
  'She makes a project of what she uploaded.'
);
select lives_ok($$ insert into public.project_layers (project_id, name) values ('b0000000-0000-4000-8000-000000000001', 'Cat') $$, 'She adds a layer.');
select lives_ok($$ update public.projects set status = 'done', params = '{"a": 1}', updated_at = '1999-01-01' where id = 'b0000000-0000-4000-8000-000000000000' $$, 'She changes hers.');
select is((select p.updated_at > t.updated_at from public.projects as p, touched as t where p.id = 'b0000000-0000-4000-8000-000000000000'), true, 'updated_at is kept, whatever she says.');
select lives_ok($$ update public.project_layers set visible = false, z_index = 2 where true $$, 'She changes her layers.');

select throws_ok(statement, '42501', null, what)
from (
  values
    ($$ insert into public.projects (user_id) values ('bea00000-0000-4000-8000-000000000000') $$, 'She makes none for Bea.'),
    ($$ update public.projects set user_id = 'bea00000-0000-4000-8000-000000000000' where true $$, 'She gives none away.'),
    ($$ insert into public.project_layers (project_id) values ('b0000000-0000-4000-8000-000000000002') $$, 'She puts no layer into Bea''s project.'),
    ($$ insert into public.project_layers (project_id) values ('b0000000-0000-4000-8000-000000000009') $$, 'An absent one is refused alike.'),
    ($$ update public.project_layers set project_id = 'b0000000-0000-4000-8000-000000000002' where true $$, 'Nor moves one there.'),
    ($$ insert into public.exports (project_id, type) values ('b0000000-0000-4000-8000-000000000000', 'png') $$, 'She makes no export that nobody paid for.'),
    ($$ update public.exports set paid_by = 'entitlement' where true $$, 'She changes none.'),
    ($$ insert into public.profiles (id) values ('ada00000-0000-4000-8000-000000000000') $$, 'Profiles are made for her.'),
    ($$ update public.profiles set email = 'bea@example.com' where true $$, 'And kept.'),
    ($$ delete from public.profiles where true $$, 'She deletes none.'),
    ($$ select * from credits_private.deleted_exports $$, 'Counters are not for her.'),
    ($$ insert into public.projects (user_id, source_image_path) values ('ada00000-0000-4000-8000-000000000000', 'bea00000-0000-4000-8000-000000000000/cat.png') $$, 'She names no file of Bea''s.'),
    ($$ insert into public.projects (user_id, source_image_path) values ('ada00000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000/../bea00000-0000-4000-8000-000000000000/cat.png') $$, 'On no way round.'),
    ($$ insert into public.projects (user_id, source_image_path) values ('ada00000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000/%2e%2e/bea00000-0000-4000-8000-000000000000/cat.png') $$, 'Not one that a URL hides.'),
    ($$ insert into public.projects (user_id, source_image_path) values ('ada00000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000/..\bea00000-0000-4000-8000-000000000000\cat.png') $$, 'Nor one of another system.'),
    ($$ insert into public.projects (user_id, source_image_path) values ('ada00000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000/') $$, 'No folder of all that is hers.'),
    ($$ insert into public.projects (user_id, source_image_path) values ('ada00000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000/cats/') $$, 'Nor another folder.'),
    ($$ insert into public.projects (user_id, thumbnail_path) values ('ada00000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000/cat.png') $$, 'Other paths are written by services.'),
    ($$ update public.projects set source_image_path = 'bea00000-0000-4000-8000-000000000000/cat.png' where true $$, 'And stay as they were.'),
    ($$ insert into public.project_layers (project_id, png_path) values ('b0000000-0000-4000-8000-000000000000', 'a.png') $$, 'Those of layers, too.'),
    ($$ update public.project_layers set png_path = 'a.png' where true $$, 'Also later.'),
    ($$ truncate public.projects $$, 'Nothing is truncated.'),
    ($$ select public.consume_credit_and_create_export_for('bea00000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000002', 'png') $$, 'A user cannot name somebody else.'),
    ($$ select public.get_user_stats_for('bea00000-0000-4000-8000-000000000000') $$, 'Nor ask about them.')
) as statements (statement, what);

update public.projects set status = 'mine' where id = 'b0000000-0000-4000-8000-000000000002';
delete from public.projects where id = 'b0000000-0000-4000-8000-000000000002';
delete from public.project_layers where project_id = 'b0000000-0000-4000-8000-000000000002';
delete from public.exports where project_id = 'b0000000-0000-4000-8000-000000000002';
reset role;
select results_eq(
  $$
    select p, y, e, f
    from public.projects as p
    join public.project_layers as y on y.project_id = p.id
    join public.exports as e on e.project_id = p.id
    join public.profiles as f on f.id = p.user_id
    where p.id = 'b0000000-0000-4000-8000-000000000002'
  $$,
  'select * from beas',
  'Whatever Ada tried, what is Bea''s is as it was.'
);

set local role authenticated;
delete from public.exports where true;
select is((select count(*) from public.exports), 0::bigint, 'Ada deletes her export.');
delete from public.projects where true;
select is((select count(*) from public.projects), 0::bigint, 'And her projects.');
select set_config('request.jwt.claims', '', true);
select is_empty('select id from public.projects union all select id from public.profiles', 'Nobody sees nothing.');

reset role;
set local role anon;
select throws_ok(format('select * from public.%I', name), '42501', null, format('A visitor sees nothing of %s.', name))
from unnest(array['projects', 'project_layers', 'exports', 'users']) as tables (name);

select * from finish();
rollback;
