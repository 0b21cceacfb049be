-- get_user_stats counts what is there and every export ever made: those of deleted projects, also such as have no user of
-- their own, as in a table that was adopted.

begin;
select plan(12);

insert into auth.users (id, email, created_at)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com', clock_timestamp() - interval '40 days'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com', clock_timestamp());
insert into public.projects (id, user_id)
select format('b0000000-0000-4000-8000-00000000000%s', n)::uuid, 'ada00000-0000-4000-8000-000000000000' from generate_series(1, 3) as n;
select public.consume_credit_and_create_export_for('ada00000-0000-4000-8000-000000000000', p.id, 'png') from public.projects as p;
insert into public.exports (project_id, type) select p.id, 'old' from public.projects as p;

create temp view stats as
select s.projects, s.exports, s.lifetime_exports, extract(day from s.account_age)::integer as days, s.credits
from public.get_user_stats_for('ada00000-0000-4000-8000-000000000000') as s;

select results_eq('select * from stats', 'values (3::bigint, 6::bigint, 6::bigint, 40, 0::bigint)', 'All is counted.');
delete from public.exports where type = 'png' and project_id = 'b0000000-0000-4000-8000-000000000001';
select results_eq('select * from stats', 'values (3::bigint, 5::bigint, 6::bigint, 40, 0::bigint)', 'An export that is deleted still counts.');
delete from public.exports where type = 'old' and project_id = 'b0000000-0000-4000-8000-000000000001';
select results_eq('select * from stats', 'values (3::bigint, 4::bigint, 6::bigint, 40, 0::bigint)', 'One without a user, too.');
delete from public.projects where id <> 'b0000000-0000-4000-8000-000000000003';
select results_eq('select * from stats', 'values (1::bigint, 2::bigint, 6::bigint, 40, 0::bigint)', 'So do those that went with their projects.');
create function pg_temp.keep() returns trigger language plpgsql as 'begin return null; end';
create trigger z_host before delete on public.projects for each row execute function pg_temp.keep();
delete from public.projects where true;
select results_eq('select * from stats', 'values (1::bigint, 2::bigint, 6::bigint, 40, 0::bigint)', 'A deletion that is called off counts nothing.');
drop trigger z_host on public.projects;
create trigger z_host before delete on public.exports for each row execute function pg_temp.keep();
delete from public.exports where true;
select results_eq('select * from stats', 'values (1::bigint, 2::bigint, 6::bigint, 40, 0::bigint)', 'Nor that of an export.');
drop trigger z_host on public.exports;
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, expires_at => clock_timestamp() + interval '1 hour');
select is((select credits from stats), 5::bigint, 'Credits are the balance.');

create or replace function credits_private.now() returns timestamptz language plpgsql set search_path = '' as 'begin return clock_timestamp() + interval ''1 day''; end';
select results_eq('select days, credits from stats', 'values (41, 0::bigint)', 'What has fallen due since is counted.');

set local role authenticated;
select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
select results_eq(
  'select projects, exports, lifetime_exports, credits from public.get_user_stats()', 'values (1::bigint, 2::bigint, 6::bigint, 0::bigint)',
  'Users see their own.'
);
select set_config('request.jwt.claims', '', true);
select throws_ok('select public.get_user_stats()', 'PT401', 'not_authenticated', 'Nobody has none.');
reset role;
select results_eq(
  $$ select projects, exports, lifetime_exports, credits from public.get_user_stats_for('bea00000-0000-4000-8000-000000000000') $$,
  'values (0::bigint, 0::bigint, 0::bigint, 3::bigint)', 'A new user has done nothing yet.'
);
select throws_ok($$ select public.get_user_stats_for('deb00000-0000-4000-8000-000000000000') $$, 'PT404', 'account_not_found', 'An absent one is not there.');

select * from finish();
rollback;
