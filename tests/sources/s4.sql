-- Layers, an app that sells exports: projects, layers and exports as they are, and the balance that v1.3 added.
--
-- Users 1 to 8 are in auth.users already (tests/test_adoption.py).

create table projects (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references auth.users (id) on delete set null,
  source_image_path text not null,
  status text not null default 'draft',
  params jsonb not null default '{}',
  manifest_path text,
  thumbnail_path text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table project_layers (
  id uuid primary key default gen_random_uuid(),
  project_id uuid not null references projects (id) on delete cascade,
  name text not null,
  png_path text,
  png_url text,
  width integer,
  height integer,
  z_index integer not null default 0,
  visible boolean not null default true,
  bbox jsonb,
  transform jsonb,
  created_at timestamptz not null default now()
);

create table exports (
  id uuid primary key default gen_random_uuid(),
  project_id uuid not null references projects (id) on delete cascade,
  type text not null,
  status text not null default 'pending',
  error_message text,
  options jsonb not null default '{}',
  asset_path text,
  asset_url text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create index idx_projects_user_id on projects (user_id, created_at desc);
create index idx_project_layers_project_id on project_layers (project_id);

alter table projects enable row level security;
alter table project_layers enable row level security;
alter table exports enable row level security;
create policy "Users can manage own projects" on projects
  for all using (auth.uid() = user_id) with check (auth.uid() = user_id);
create policy "Users can manage own layers" on project_layers
  for all using (exists (select from projects p where p.id = project_id and p.user_id = auth.uid()));
create policy "Users can view own exports" on exports
  for select using (exists (select from projects p where p.id = project_id and p.user_id = auth.uid()));

create or replace function set_updated_at()
returns trigger as $$
begin
  new.updated_at = now();
  return new;
end;
$$ language plpgsql;

create trigger set_projects_updated_at before update on projects
  for each row execute function set_updated_at();

-- 20260207_add_user_credits.sql
create table user_credits (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,

  -- Credit tracking
  total_credits integer not null default 0,
  used_credits integer not null default 0,

  -- Metadata
  last_purchase_at timestamptz,

  -- Timestamps
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

-- Constraints
create unique index idx_user_credits_user_id on user_credits (user_id);

-- RLS Policies (mirror existing patterns from projects table)
alter table user_credits enable row level security;

create policy "Users can view own credits" on user_credits
  for select using (auth.uid() = user_id);

create policy "Users can update own credits" on user_credits
  for update using (auth.uid() = user_id);

-- Service role can insert/update for purchase webhook
create policy "Service can manage credits" on user_credits
  for all using (false) with check (false);

-- 2 has spent all, 3 never had any, 4 has no row, 5 never bought, 8 is anonymous
insert into user_credits (id, user_id, total_credits, used_credits, last_purchase_at, created_at)
values
  (
    '00000000-0000-4000-b000-000000000001', '00000000-0000-4000-8000-000000000001', 15, 3,
    '2026-02-10 09:00+00', '2026-02-08 09:00+00'
  ),
  (
    '00000000-0000-4000-b000-000000000002', '00000000-0000-4000-8000-000000000002', 5, 5,
    '2026-02-09 09:00+00', '2026-02-09 09:00+00'
  ),
  ('00000000-0000-4000-b000-000000000003', '00000000-0000-4000-8000-000000000003', 0, 0, null, '2026-02-10 09:00+00'),
  ('00000000-0000-4000-b000-000000000005', '00000000-0000-4000-8000-000000000005', 8, 0, null, '2026-02-11 09:00+00'),
  (
    '00000000-0000-4000-b000-000000000006', '00000000-0000-4000-8000-000000000006', 2147483647, 2147483638,
    '2026-02-12 09:00+00', '2026-02-12 09:00+00'
  ),
  (
    '00000000-0000-4000-b000-000000000007', '00000000-0000-4000-8000-000000000007', 21, 1,
    '2026-02-13 09:00+00', '2026-02-13 09:00+00'
  ),
  ('00000000-0000-4000-b000-000000000008', '00000000-0000-4000-8000-000000000008', 4, 0, null, '2026-02-14 09:00+00');

insert into projects (id, user_id, source_image_path, status, params, manifest_path, thumbnail_path)
values
  (
    '00000000-0000-4000-9000-000000000001', '00000000-0000-4000-8000-000000000001', '1/cat.png', 'ready',
    '{"layers": 2}', '1/cat.json', '1/cat.thumb.png'
  ),
  (
    '00000000-0000-4000-9000-000000000002', '00000000-0000-4000-8000-000000000002', '2/cow.png',
    'draft', '{}', null, null
  ),
  ('00000000-0000-4000-9000-000000000003', null, 'gone/dog.png', 'ready', '{}', null, null);

insert into project_layers (id, project_id, name, png_path, z_index, bbox)
values
  (
    '00000000-0000-4000-c000-000000000001', '00000000-0000-4000-9000-000000000001', 'Ear', '1/ear.png', 1,
    '[0, 0, 9, 9]'
  ),
  ('00000000-0000-4000-c000-000000000002', '00000000-0000-4000-9000-000000000001', 'Tail', '1/tail.png', 0, null),
  (
    '00000000-0000-4000-c000-000000000003', '00000000-0000-4000-9000-000000000003', 'Dog',
    'gone/dog.layer.png', 0, null
  );

insert into exports (id, project_id, type, status, error_message, options, asset_path)
values
  (
    '00000000-0000-4000-d000-000000000001', '00000000-0000-4000-9000-000000000001', 'psd', 'completed', null,
    '{"scale": 2}', '1/cat.psd'
  ),
  (
    '00000000-0000-4000-d000-000000000002', '00000000-0000-4000-9000-000000000001', 'zip', 'failed', 'disk full',
    '{}', null
  ),
  (
    '00000000-0000-4000-d000-000000000003', '00000000-0000-4000-9000-000000000003', 'png', 'completed',
    null, '{}', 'gone/dog.png'
  );
