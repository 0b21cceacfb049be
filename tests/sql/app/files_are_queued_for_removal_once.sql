-- Whoever deletes a project, a layer or an export queues what lies in storage for it, in the same transaction and each
-- path once: the user, a cascade, a deletion of the account. A worker gets it until it says that it is done.

begin;
select plan(26);

insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
insert into public.projects (id, user_id, source_image_path, manifest_path, thumbnail_path)
select
  format('b0000000-0000-4000-8000-00000000000%s', n)::uuid,
  case when n < 3 then 'ada00000-0000-4000-8000-000000000000' else 'bea00000-0000-4000-8000-000000000000' end::uuid,
  format('%s/source.png', n), format('%s/manifest.json', n), format('%s/small.png', n)
from generate_series(1, 4) as n;
insert into public.project_layers (project_id, png_path)
select p.id, replace(p.source_image_path, 'source', layer)
from public.projects as p, unnest(array['cat', 'dog', 'small']) as layers (layer);
insert into public.project_layers (project_id) select p.id from public.projects as p;
insert into public.exports (project_id, type, asset_path)
select p.id, 'png', replace(p.source_image_path, 'source', 'export')
from public.projects as p;

create temp view queued as
select o.payload ->> 'path' as path from credits_private.outbox as o where o.kind = 'remove_file' order by 1;
create function pg_temp.queue_of(project integer)
  returns setof text
  language sql
as $$
  select format('%s/%s', project, file)
  from unnest(array['cat.png', 'dog.png', 'export.png', 'manifest.json', 'small.png', 'source.png']) as files (file);
$$;

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
delete from public.project_layers where png_path = '1/cat.png';
delete from public.exports where asset_path = '1/export.png';
reset role;
select results_eq('select * from queued', $$ values ('1/cat.png'), ('1/export.png') $$, 'A layer and an export take their own file along.');
set local role authenticated;
delete from public.projects where source_image_path = '1/source.png';
reset role;
select results_eq('select * from queued', 'select * from pg_temp.queue_of(1)', 'A project takes all of its files along, each once.');
savepoint before;
delete from public.projects where source_image_path = '2/source.png';
rollback to before;
select results_eq('select * from queued', 'select * from pg_temp.queue_of(1)', 'A deletion that is taken back queues nothing.');

delete from auth.users where id = 'ada00000-0000-4000-8000-000000000000';
select results_eq(
  'select * from queued', 'select * from pg_temp.queue_of(1) union all select * from pg_temp.queue_of(2)',
  'The deletion of a user queues the files that were theirs.'
);
set local role authenticated;
select set_config('request.jwt.claims', '{"sub": "bea00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
select public.delete_user_account();
reset role;
select results_eq(
  'select * from queued', 'select f from generate_series(1, 4) as n, pg_temp.queue_of(n) as f', 'So does an account that its user deletes.'
);
select results_eq(
  $$ select payload ->> 'owner', count(*) from credits_private.outbox where user_id is null and payload - 'path' - 'owner' = '{}' group by 1 order by 1 $$,
  $$ values ('ada00000-0000-4000-8000-000000000000', 12::bigint), ('bea00000-0000-4000-8000-000000000000', 12) $$,
  'Each item says whose project it was, also where the project went first.'
);

set local role service_role;
select is((select count(*) from public.claim_outbox()), 24::bigint, 'A worker gets them.');
select is((select count(*) from public.claim_outbox()), 0::bigint, 'No other gets them meanwhile.');
reset role;
update credits_private.outbox set claimable_at = clock_timestamp() where true;
set local role service_role;
select results_eq(
  'select kind, attempts, count(*) from public.claim_outbox() group by 1, 2', $$ values ('remove_file', 2, 24::bigint) $$,
  'When it has died, another gets all of them.'
);
reset role;
select public.ack_outbox(array(select id from credits_private.outbox));
select is_empty('select * from credits_private.outbox', 'What is done is gone.');

insert into auth.users (id) values ('deb00000-0000-4000-8000-000000000000');
insert into public.projects (user_id, source_image_path, thumbnail_path)
values ('deb00000-0000-4000-8000-000000000000', (select string_agg(md5(n::text), '') from generate_series(1, 1000) as n), '');
select lives_ok($$ delete from auth.users where id = 'deb00000-0000-4000-8000-000000000000' $$, 'A path that is none keeps nobody from leaving.');
select is_empty('select * from credits_private.outbox', 'And is not queued.');

-- a path that comes back
insert into auth.users (id) values ('caa00000-0000-4000-8000-000000000000'), ('dea00000-0000-4000-8000-000000000000');
create function pg_temp.upload(path text)
  returns void
  language sql
as $$
  insert into public.projects (user_id, source_image_path) values ('caa00000-0000-4000-8000-000000000000', path);
$$;
select pg_temp.upload('caa00000-0000-4000-8000-000000000000/' || name) from unnest(array['a', 'b', 'c']) as names (name);
delete from public.projects;
create temp table claimed as select * from public.claim_outbox();
select is((select count(*) from claimed), 3::bigint, 'A worker is at work on three files.');
select pg_temp.upload('caa00000-0000-4000-8000-000000000000/a');
select results_eq(
  'select path from queued', $$ values ('caa00000-0000-4000-8000-000000000000/b'), ('caa00000-0000-4000-8000-000000000000/c') $$,
  'What is there again is not removed.'
);
insert into public.project_layers (project_id) select id from public.projects;
select results_eq('select count(*) from queued', 'values (2::bigint)', 'A row without a path changes nothing.');
update public.project_layers set png_path = 'caa00000-0000-4000-8000-000000000000/b';
select results_eq('select path from queued', $$ values ('caa00000-0000-4000-8000-000000000000/c') $$, 'Nor what a layer is given later.');
insert into public.exports (project_id, type, asset_path) select id, 'png', 'caa00000-0000-4000-8000-000000000000/c' from public.projects;
select is_empty('select * from queued', 'Nor what an export is given.');
delete from public.projects;
select is(public.ack_outbox(array(select id from claimed)), 0, 'A late acknowledgement is not of the new removal.');
select results_eq(
  $$ select path from queued $$,
  $$ select 'caa00000-0000-4000-8000-000000000000/' || name from unnest(array['a', 'b', 'c']) as names (name) $$,
  'All three are removed in the end.'
);
truncate claimed;
insert into claimed select * from public.claim_outbox();
insert into public.projects (id, user_id) values ('b0000000-0000-4000-8000-000000000009', 'caa00000-0000-4000-8000-000000000000');
alter table public.project_layers disable trigger keep_files;
insert into public.project_layers (project_id, png_path)
values
  ('b0000000-0000-4000-8000-000000000009', 'caa00000-0000-4000-8000-000000000000/a'),
  ('b0000000-0000-4000-8000-000000000009', 'caa00000-0000-4000-8000-000000000000/a');
delete from public.project_layers;
select is(public.ack_outbox(array(select id from claimed)), 2, 'A path that is queued again while it is claimed has a new id.');
select results_eq('select attempts, payload ->> ''path'' from public.claim_outbox()', $$ values (1, 'caa00000-0000-4000-8000-000000000000/a') $$, 'And is handed out at once.');

-- somebody else names the same file, as a table of the host's may let them
insert into public.projects (id, user_id) values ('b0000000-0000-4000-8000-000000000008', 'dea00000-0000-4000-8000-000000000000');
insert into public.project_layers (project_id, png_path)
values ('b0000000-0000-4000-8000-000000000008', 'caa00000-0000-4000-8000-000000000000/a');
delete from public.project_layers;
select results_eq('select payload ->> ''owner'' from public.claim_outbox()', $$ values ('caa00000-0000-4000-8000-000000000000') $$, 'The owner stays who has the folder.');
insert into public.project_layers (project_id, png_path)
values ('b0000000-0000-4000-8000-000000000008', 'caa00000-0000-4000-8000-000000000000/z');
delete from public.project_layers;
select results_eq('select payload ->> ''owner'' from public.claim_outbox()', $$ values ('dea00000-0000-4000-8000-000000000000') $$, 'Who names a file of others is told by the item.');
insert into public.project_layers (project_id, png_path)
values ('b0000000-0000-4000-8000-000000000009', 'caa00000-0000-4000-8000-000000000000/z');
delete from public.project_layers;
select results_eq('select payload ->> ''owner'' from public.claim_outbox()', $$ values ('caa00000-0000-4000-8000-000000000000') $$, 'Until the one with the folder comes.');

-- a deletion that a trigger of the host's calls off
select public.ack_outbox(array(select id from credits_private.outbox));
create function pg_temp.keep() returns trigger language plpgsql as 'begin return null; end';
create trigger a_host before delete on public.projects for each row execute function pg_temp.keep();
select pg_temp.upload('caa00000-0000-4000-8000-000000000000/d');
delete from public.projects;
select is_empty('select * from queued', 'What is not deleted is not removed.');
set constraints credits_private.forget_project immediate;
select is_empty('select * from credits_private.deleted_projects', 'Nothing is remembered of projects beyond the transaction.');

select * from finish();
rollback;
