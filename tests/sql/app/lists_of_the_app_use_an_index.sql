-- The lists that an app shows come from an index: a user's projects, newest first; the layers of a project, from the lowest
-- up; its exports, newest first; the export of a key; all that goes with a project or a user.

begin;
select plan(7);

create function pg_temp.plan_of(query text)
  returns text
  language plpgsql
as $$
declare
  v_plan json;
begin
  execute 'explain (format json) ' || query into v_plan;
  return v_plan;
end;
$$;
-- a plan for many rows, which empty tables would not get
set local enable_seqscan = off;
set local enable_bitmapscan = off;

select is(
  pg_temp.plan_of(query) ~ index and pg_temp.plan_of(query) !~ '"(Seq Scan|Sort)"', true, what
)
from (
  values
    ($$ select * from public.projects where user_id = 'ada00000-0000-4000-8000-000000000000' order by created_at desc limit 50 $$, 'projects_user_id_created_at_idx', 'Projects of a user, newest first.'),
    ($$ select * from public.project_layers where project_id = 'ada00000-0000-4000-8000-000000000000' order by z_index $$, 'project_layers_project_id_z_index_idx', 'Layers of a project, from the lowest up.'),
    ($$ select * from public.exports where project_id = 'ada00000-0000-4000-8000-000000000000' order by created_at desc limit 50 $$, 'exports_project_id_created_at_idx', 'Exports of a project, newest first.'),
    ($$ select * from public.exports where user_id = 'ada00000-0000-4000-8000-000000000000' and idempotency_key = 'a' $$, 'exports_idempotency_key', 'The export of a key.'),
    ($$ update public.exports set user_id = null where user_id = 'ada00000-0000-4000-8000-000000000000' $$, 'exports_idempotency_key', 'What a user paid for.'),
    ($$ delete from only public.projects where user_id = 'ada00000-0000-4000-8000-000000000000' $$, 'projects_user_id_created_at_idx', 'What goes with a user.')
) as lists (query, index, what);

-- as the user whose rows they are, the policy is no filter that reads everybody's
select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select is(
  pg_temp.plan_of('select * from public.projects order by created_at desc limit 50') ~ 'projects_user_id_created_at_idx', true,
  'One''s own projects, by the policy alone.'
);

select * from finish();
rollback;
