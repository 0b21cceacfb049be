-- project_layers: the layers of a project, from the lowest z_index up.
--
-- Whoever may read the project may read its layers, and its user may make, change and delete them; the files that they
-- show are written by services. A table of this name that is here already is taken as it is, with what it lacks.

insert into credits_private.adopted_relations (relation, had_policies)
select 'public.project_layers', c.relrowsecurity
from pg_catalog.pg_class as c
where c.oid = to_regclass('public.project_layers')
on conflict (relation) do update set had_policies = excluded.had_policies;

create table if not exists public.project_layers (
  id uuid primary key default gen_random_uuid()
);

alter table public.project_layers
  add column if not exists project_id uuid,
  add column if not exists name text,
  add column if not exists png_path text,
  add column if not exists png_url text,
  -- squawk-ignore prefer-bigint-over-int
  add column if not exists width integer,
  -- squawk-ignore prefer-bigint-over-int
  add column if not exists height integer,
  -- squawk-ignore prefer-bigint-over-int
  add column if not exists z_index integer not null default 0,
  add column if not exists visible boolean not null default true,
  add column if not exists bbox jsonb,
  add column if not exists transform jsonb,
  add column if not exists created_at timestamptz not null default now();

do $$
begin
  if not credits_private.is_adopted('public.project_layers') then
    alter table public.project_layers alter column project_id set not null;
    comment on table public.project_layers is
      'The layers of a project. Users read, make, change and delete those of their own projects.';
    comment on column public.project_layers.id is
      'The name of the layer, for layer_ids of an export.';
    comment on column public.project_layers.project_id is
      'The project that it belongs to.';
    comment on column public.project_layers.name is
      'What it is called.';
    comment on column public.project_layers.png_path is
      'The picture, as a path in storage; written by services.';
    comment on column public.project_layers.png_url is
      'The picture, as an address; written by services.';
    comment on column public.project_layers.width is
      'The width of the picture, in pixels.';
    comment on column public.project_layers.height is
      'The height of the picture, in pixels.';
    comment on column public.project_layers.z_index is
      'Which lies above which: the higher one.';
    comment on column public.project_layers.visible is
      'Whether it is shown.';
    comment on column public.project_layers.bbox is
      'Where it lies in the source.';
    comment on column public.project_layers.transform is
      'How it was moved, turned and scaled since.';
    comment on column public.project_layers.created_at is
      'When it was made.';
    revoke all on table public.project_layers from public, anon, authenticated, service_role;
    grant select, delete on table public.project_layers to authenticated;
    grant insert (id, project_id, name, width, height, z_index, visible, bbox, transform)
  on table public.project_layers to authenticated;
    grant update (name, z_index, visible, bbox, transform) on table public.project_layers to authenticated;
    grant select, insert, update, delete on table public.project_layers to service_role;
  end if;
end;
$$;

alter table public.project_layers enable row level security;

select credits_private.add_index('public.project_layers', 'project_id, z_index');

insert into credits_private.personal_data (relation, predicate)
values (
  'public.project_layers',
  'exists (select from public.projects as p where p.id = t.project_id and p.user_id = $1)'
)
on conflict (relation) do nothing;
