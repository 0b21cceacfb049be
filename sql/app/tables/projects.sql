-- projects: what a user works on; layers and exports belong to one.
--
-- Users make, change and delete their own. What lies in storage is named by paths, and whoever deletes a row queues its
-- files for removal (remove_files): so users may write one path alone, that of what they uploaded, into their own folder
-- (policies/projects.sql). A table of this name that is here already is taken as it is, with what it lacks.

insert into credits_private.adopted_relations (relation, had_policies)
select 'public.projects', c.relrowsecurity
from pg_catalog.pg_class as c
where c.oid = to_regclass('public.projects')
on conflict (relation) do update set had_policies = excluded.had_policies;

create table if not exists public.projects (
  id uuid primary key default gen_random_uuid()
);

alter table public.projects
  add column if not exists user_id uuid,
  add column if not exists source_image_path text,
  add column if not exists status text not null default 'draft',
  add column if not exists params jsonb not null default '{}',
  add column if not exists manifest_path text,
  add column if not exists thumbnail_path text,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now();

do $$
begin
  if not credits_private.is_adopted('public.projects') then
    alter table public.projects alter column user_id set not null;
    comment on table public.projects is
      'What a user works on. Users read, make, change and delete their own.';
    comment on column public.projects.id is
      'The name of the project.';
    comment on column public.projects.user_id is
      'Whose it is.';
    comment on column public.projects.source_image_path is
      'What was uploaded, as a path in storage that begins with the id of the user.';
    comment on column public.projects.status is
      'Where the work stands, in the words of the application.';
    comment on column public.projects.params is
      'What the work is to be done with.';
    comment on column public.projects.manifest_path is
      'What the work made, as a path in storage; written by services.';
    comment on column public.projects.thumbnail_path is
      'A small picture of it, as a path in storage; written by services.';
    comment on column public.projects.created_at is
      'When it was made.';
    comment on column public.projects.updated_at is
      'When it was last changed.';
    revoke all on table public.projects from public, anon, authenticated, service_role;
    grant select, delete on table public.projects to authenticated;
    grant insert (id, user_id, source_image_path, status, params) on table public.projects to authenticated;
    grant update (status, params, updated_at) on table public.projects to authenticated;
    grant select, insert, update, delete on table public.projects to service_role;
  end if;
end;
$$;

alter table public.projects enable row level security;

select credits_private.add_index('public.projects', 'user_id, created_at desc');
select credits_private.add_touch('public.projects');

insert into credits_private.personal_data (relation, predicate)
values ('public.projects', 't.user_id = $1')
on conflict (relation) do nothing;
