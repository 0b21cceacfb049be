-- The app track: profiles, projects, layers and exports, and an export for a credit.
--
-- Takes what is there already, with the columns that it lacks. Locks of auth.users come next.
--
-- depends: 0003_open_existing_accounts

-- from sql/app/settings.sql
-- The setting of the app track: which entitlement exports without credits.

insert into credits_private.settings (name, value, kind, minimum, maximum, pattern, description)
values
  ('export_entitlement', 'pro', 'text', null, null, '^.{0,100}$', 'The entitlement whose holders export without spending credits; empty where nobody does.')
on conflict (name) do nothing;
-- end

-- from sql/app/types/export_payment.sql
-- export_payment: what an export was paid with.

create type public.export_payment as enum (
  'credits',
  'entitlement'
);

comment on type public.export_payment is
  'What an export was paid with: credits (one, the ledger row is seq) or an entitlement that includes it.';

revoke all on type public.export_payment from public, anon, authenticated, service_role;
grant usage on type public.export_payment to authenticated, service_role;
-- end

-- from sql/app/types/user_stats.sql
-- user_stats: what get_user_stats answers, the figures of a settings screen.

create type public.user_stats as (
  projects bigint,
  exports bigint,
  lifetime_exports bigint,
  account_age interval,
  credits bigint
);

comment on type public.user_stats is
  'What a user has and did: the figures of a settings screen.';
comment on column public.user_stats.projects is
  'Projects there are now.';
comment on column public.user_stats.exports is
  'Exports there are now, in all projects.';
comment on column public.user_stats.lifetime_exports is
  'Exports ever made, those that were deleted since included.';
comment on column public.user_stats.account_age is
  'Time since the sign-up, in days and hours; null where nobody noted it.';
comment on column public.user_stats.credits is
  'The balance now, what has fallen due included.';

revoke all on type public.user_stats from public, anon, authenticated, service_role;
grant usage on type public.user_stats to authenticated, service_role;
-- end

-- from sql/app/private/touch.sql
-- touch: keeps updated_at of the tables of the app.

create or replace function credits_private.touch()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  new.updated_at := credits_private.now();
  return new;
end;
$$;

comment on function credits_private.touch() is
  'Trigger before update: sets updated_at to now.';

revoke all on function credits_private.touch() from public, anon, authenticated, service_role;
-- end

-- from sql/app/private/add_index.sql
-- add_index: an index that a query of the app needs, unless the table has one that serves it.
--
-- For the files of tables. An index serves that is whole (no predicate) and begins with the same columns, whichever way
-- they are sorted: it can be read backwards.

create or replace function credits_private.add_index(
  p_table regclass,
  p_columns text
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_names pg_catalog.text[] := array(
    select split_part(btrim(c.name), ' ', 1)
    from string_to_table(p_columns, ',') with ordinality as c (name, place)
    order by c.place
  );
begin
  if not exists (
    select
    from pg_catalog.pg_index as i
    where i.indrelid = p_table
      and i.indisvalid
      and i.indpred is null
      and v_names = array(
        select a.attname::pg_catalog.text
        from unnest(i.indkey) with ordinality as k (number, place)
        join pg_catalog.pg_attribute as a on a.attrelid = p_table and a.attnum = k.number
        where k.place <= cardinality(v_names)
        order by k.place
      )
  ) then
    execute format('create index on %s (%s)', p_table, p_columns);
  end if;
end;
$$;

comment on function credits_private.add_index(regclass, text) is
  'Makes an index over columns of a table, unless there is one that begins with them.';

revoke all on function credits_private.add_index(regclass, text) from public, anon, authenticated, service_role;
-- end

-- from sql/app/private/add_touch.sql
-- add_touch: lets a table keep its updated_at, unless a trigger of the host's does that.

create or replace function credits_private.add_touch(p_table regclass)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  if not exists (
    select
    from pg_catalog.pg_trigger as t
    join pg_catalog.pg_proc as p on p.oid = t.tgfoid
    where t.tgrelid = p_table
      and not t.tgisinternal
      -- before, update
      and t.tgtype::integer & 18 = 18
      and (p.prosrc ~* '\mupdated_at\M' or pg_get_triggerdef(t.oid) ~* '\mupdated_at\M')
  ) then
    execute format(
      'create trigger touch before update on %s for each row execute function credits_private.touch()', p_table
    );
    execute format('comment on trigger touch on %s is %L', p_table, 'updated_at says when a row was last changed.');
  end if;
end;
$$;

comment on function credits_private.add_touch(regclass) is
  'Puts the trigger touch on a table, unless one of the host''s keeps updated_at.';

revoke all on function credits_private.add_touch(regclass) from public, anon, authenticated, service_role;
-- end

-- from sql/app/tables/profiles.sql
-- profiles: one row a user, for an application that wants a table of them in public.
--
-- Made and kept by write_profile, the trigger on auth.users; gone with the user (references/profiles.sql). Its computed
-- field credits is the balance. A table of this name that is here already is taken as it is, with what it lacks.

insert into credits_private.adopted_relations (relation, had_policies)
select 'public.profiles', c.relrowsecurity
from pg_catalog.pg_class as c
where c.oid = to_regclass('public.profiles')
on conflict (relation) do update set had_policies = excluded.had_policies;

create table if not exists public.profiles (
  id uuid primary key
);

alter table public.profiles
  add column if not exists email text,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now();

do $$
begin
  if not credits_private.is_adopted('public.profiles') then
    comment on table public.profiles is
      'One row a user, made with them. Users read their own.';
    comment on column public.profiles.id is
      'The user, as in auth.users.';
    comment on column public.profiles.email is
      'Their address, as auth.users has it; null for anonymous users and those who sign in by phone.';
    comment on column public.profiles.created_at is
      'When the row was made.';
    comment on column public.profiles.updated_at is
      'When it was last changed.';
    revoke all on table public.profiles from public, anon, authenticated, service_role;
    grant select on table public.profiles to authenticated;
    grant select, insert, update, delete on table public.profiles to service_role;
  end if;
end;
$$;

alter table public.profiles enable row level security;

select credits_private.add_touch('public.profiles');

insert into credits_private.personal_data (relation, predicate)
values ('public.profiles', 't.id = $1')
on conflict (relation) do nothing;
-- end

-- from sql/app/tables/projects.sql
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
-- end

-- from sql/app/tables/project_layers.sql
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
-- end

-- from sql/app/tables/exports.sql
-- exports: what was asked for of a project, and what it was paid with.
--
-- Made by consume_credit_and_create_export, which takes the credit in the same transaction; worked on by services
-- (status, asset_path). Users read and delete those of their own projects. One that was paid for with a credit names
-- its ledger row: seq. A table of this name that is here already is taken as it is, with what it lacks.

insert into credits_private.adopted_relations (relation, had_policies)
select 'public.exports', c.relrowsecurity
from pg_catalog.pg_class as c
where c.oid = to_regclass('public.exports')
on conflict (relation) do update set had_policies = excluded.had_policies;

create table if not exists public.exports (
  id uuid primary key default gen_random_uuid()
);

alter table public.exports
  add column if not exists project_id uuid,
  add column if not exists type text,
  add column if not exists status text not null default 'pending',
  add column if not exists error_message text,
  add column if not exists options jsonb not null default '{}',
  add column if not exists asset_path text,
  add column if not exists asset_url text,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now(),
  add column if not exists user_id uuid,
  add column if not exists layer_ids uuid[],
  add column if not exists idempotency_key text collate "C",
  add column if not exists paid_by public.export_payment,
  add column if not exists seq bigint;

comment on column public.exports.user_id is
  'Who asked for it; null where it was not made by consume_credit_and_create_export.';
comment on column public.exports.layer_ids is
  'Which layers; null for all.';
comment on column public.exports.idempotency_key is
  'The caller''s name for the operation, 1 to 255 characters, once a user; a replay answers with this row.';
comment on column public.exports.paid_by is
  'What it was paid with; null where it was not made by consume_credit_and_create_export.';
comment on column public.exports.seq is
  'The ledger row that paid for it, null unless paid with credits: refund_consumption_for takes it when the work fails.';

do $$
begin
  if not credits_private.is_adopted('public.exports') then
    alter table public.exports alter column project_id set not null;
    alter table public.exports alter column type set not null;
    comment on table public.exports is
      'What was asked for of a project, and what it was paid with. Users read and delete those of their own projects.';
    comment on column public.exports.id is
      'The name of the export.';
    comment on column public.exports.project_id is
      'The project that it shows.';
    comment on column public.exports.type is
      'What it is to become, in the words of the application: 1 to 100 characters.';
    comment on column public.exports.status is
      'Where the work stands, in the words of the application: pending at first.';
    comment on column public.exports.error_message is
      'Why the work failed.';
    comment on column public.exports.options is
      'A JSON object of the caller''s, up to 4 kB.';
    comment on column public.exports.asset_path is
      'What came of it, as a path in storage; written by services.';
    comment on column public.exports.asset_url is
      'What came of it, as an address; written by services.';
    comment on column public.exports.created_at is
      'When it was asked for.';
    comment on column public.exports.updated_at is
      'When it was last changed.';
    revoke all on table public.exports from public, anon, authenticated, service_role;
    grant select, delete on table public.exports to authenticated;
    grant select, insert, update, delete on table public.exports to service_role;
  end if;
end;
$$;

alter table public.exports enable row level security;

create unique index exports_idempotency_key on public.exports (user_id, idempotency_key);
select credits_private.add_index('public.exports', 'project_id, created_at desc');
select credits_private.add_touch('public.exports');

insert into credits_private.personal_data (relation, predicate)
values (
  'public.exports',
  't.user_id = $1 or exists (select from public.projects as p where p.id = t.project_id and p.user_id = $1)'
)
on conflict (relation) do nothing;
-- end

-- from sql/app/tables/export_keys.sql
-- export_keys: what an export was asked for under which key.
--
-- Written by create_export, in the transaction of the export, and by nobody else: a replay is compared with what was asked,
-- not with a row that services work on. Outlives the export, so that its key says so; gone with the account
-- (remove_projects).

create table credits_private.export_keys (
  user_id uuid,
  idempotency_key text collate "C",
  export_id uuid not null,
  request jsonb not null,
  primary key (user_id, idempotency_key)
);

comment on table credits_private.export_keys is
  'What an export was asked for under which key.';
comment on column credits_private.export_keys.user_id is
  'Who asked.';
comment on column credits_private.export_keys.idempotency_key is
  'The caller''s name for the operation.';
comment on column credits_private.export_keys.export_id is
  'What was made; it may be deleted.';
comment on column credits_private.export_keys.request is
  'The project, type, options and layers that were asked for.';

revoke all on table credits_private.export_keys from public, anon, authenticated, service_role;

insert into credits_private.personal_data (relation, predicate)
values ('credits_private.export_keys', 't.user_id = $1')
on conflict (relation) do nothing;
-- end

-- from sql/app/tables/deleted_exports.sql
-- deleted_exports: how many exports a user had that are gone, so that lifetime_exports does not shrink.
--
-- Counted by count_exports in the transaction of the deletion; gone with the account (remove_projects).

create table credits_private.deleted_exports (
  user_id uuid primary key,
  count bigint not null
);

comment on table credits_private.deleted_exports is
  'How many exports of a user were deleted.';
comment on column credits_private.deleted_exports.user_id is
  'Whose they were: the user of their project.';
comment on column credits_private.deleted_exports.count is
  'How many.';

revoke all on table credits_private.deleted_exports from public, anon, authenticated, service_role;

insert into credits_private.personal_data (relation, predicate)
values ('credits_private.deleted_exports', 't.user_id = $1')
on conflict (relation) do nothing;
-- end

-- from sql/app/tables/deleted_projects.sql
-- deleted_projects: whose the projects were that this transaction has deleted. Empty again when it ends.
--
-- When a deletion comes to layers and exports by a cascade, their project is gone, and they do not know whose it was:
-- remove_files of projects, which comes before, notes it here for theirs and for count_exports.

create table credits_private.deleted_projects (
  id uuid primary key,
  user_id uuid not null
);

comment on table credits_private.deleted_projects is
  'Whose the projects were that this transaction has deleted; empty again when it ends.';
comment on column credits_private.deleted_projects.id is
  'The project.';
comment on column credits_private.deleted_projects.user_id is
  'Whose it was.';

revoke all on table credits_private.deleted_projects from public, anon, authenticated, service_role;
-- end

-- from sql/app/private/create_export.sql
-- create_export: the engine of consume_credit_and_create_export, an export and its payment in one transaction.
--
-- Lock, look for the key, decide: as everywhere. What a key means is what was asked for under it (export_keys), whatever
-- services did with the export since; that of a deleted export stays used. Whoever holds the entitlement of the setting export_entitlement pays
-- nothing; everybody else one credit, whose ledger row has the same key and names the export. If the export cannot be
-- inserted (a trigger of the host's refuses it, or swallows it), the credit is not taken. The project is locked against
-- its deletion. The row is filled by assignment, which also fits an adopted table whose type is an enum.

create or replace function credits_private.create_export(
  p_user_id uuid,
  p_project_id uuid,
  p_type text,
  p_options jsonb,
  p_layer_ids uuid[],
  p_idempotency_key text
)
  returns public.exports
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_new public.exports;
  v_export public.exports;
  v_key credits_private.export_keys;
  v_request pg_catalog.jsonb;
  v_seq bigint;
begin
  perform credits_private.check_entry(1, null, '{}', p_idempotency_key);
  if (length(p_type) between 1 and 100) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'type', 'length', length(p_type)),
      hint = 'The type of an export is a word of 1 to 100 characters.';
  end if;
  -- in this order, like check_entry
  if (
    jsonb_typeof(p_options) = 'object'
    and pg_column_size(p_options || '{}') <= 4096
    and not jsonb_path_exists(p_options, '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))')
    and octet_length(p_options::pg_catalog.text) <= 16384
  ) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'options'),
      hint = 'Options are a JSON object of at most 4 kB that prints to at most 16 kB, with numbers up to 1e308.';
  end if;
  if p_layer_ids is not null and (array_ndims(p_layer_ids) = 1 and cardinality(p_layer_ids) <= 1000) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'layer_ids', 'length', cardinality(p_layer_ids)),
      hint = 'Name 1 to 1000 layers, or none for all.';
  end if;

  perform credits_private.lock_account(p_user_id);
  v_request := jsonb_build_object(
    'project_id', p_project_id, 'type', p_type, 'options', p_options, 'layer_ids', p_layer_ids
  );
  select k.* into v_key
  from credits_private.export_keys as k
  where k.user_id = p_user_id and k.idempotency_key = p_idempotency_key;
  if v_key.request = v_request then
    select e.* into v_export from public.exports as e where e.id = v_key.export_id;
    if found then
      return v_export;
    end if;
  end if;
  select t.seq into v_seq
  from public.credit_transactions as t
  where t.user_id = p_user_id and t.idempotency_key = p_idempotency_key;
  if v_key.request = v_request then
    raise exception using
      errcode = 'PT422',
      message = 'idempotency_key_reused',
      detail = json_build_object('idempotency_key', p_idempotency_key, 'seq', v_seq),
      hint = 'The export of this key was deleted since: use a new key for another, which is paid for again.';
  end if;
  if v_key.request is not null or v_seq is not null or exists (
    select from public.credit_holds as h where h.user_id = p_user_id and h.idempotency_key = p_idempotency_key
  ) or exists (
    select from public.exports as e where e.user_id = p_user_id and e.idempotency_key = p_idempotency_key
  ) then
    perform credits_private.refuse_key(p_idempotency_key, v_seq);
  end if;

  perform from public.projects as p where p.id = p_project_id and p.user_id = p_user_id for key share;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'project_not_found',
      detail = json_build_object('project_id', p_project_id),
      hint = 'This user has no such project.';
  end if;
  if exists (
    select
    from unnest(p_layer_ids) as l (id)
    where not exists (select from public.project_layers as y where y.id = l.id and y.project_id = p_project_id)
  ) then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'layer_ids'),
      hint = 'Each of the layers is one of this project.';
  end if;

  v_new.id := gen_random_uuid();
  v_new.project_id := p_project_id;
  v_new.type := p_type;
  v_new.options := p_options;
  v_new.layer_ids := p_layer_ids;
  v_new.paid_by := 'entitlement';
  if not credits_private.read_entitlement(
    p_user_id,
    (select s.value from credits_private.settings as s where s.name = 'export_entitlement')
  ) then
    v_new.paid_by := 'credits';
    v_new.seq := (
      credits_private.spend(
        p_user_id, 1, 'Export', jsonb_build_object('project_id', p_project_id, 'export_id', v_new.id), p_idempotency_key
      )
    ).seq;
  end if;
  insert into public.exports as e (id, project_id, type, options, user_id, layer_ids, idempotency_key, paid_by, seq)
  values (
    v_new.id, v_new.project_id, v_new.type, v_new.options, p_user_id, v_new.layer_ids, p_idempotency_key, v_new.paid_by,
    v_new.seq
  )
  returning e.* into strict v_export;
  if p_idempotency_key is not null then
    insert into credits_private.export_keys (user_id, idempotency_key, export_id, request)
    values (p_user_id, p_idempotency_key, v_export.id, v_request);
  end if;
  return v_export;
end;
$$;

comment on function credits_private.create_export(uuid, uuid, text, jsonb, uuid[], text) is
  'Makes an export and takes a credit for it, or notes the entitlement that includes it. Raises PT402 insufficient_credits, PT404 account_not_found or project_not_found, PT410 account_closed, PT422 idempotency_key_reused and 22023.';

revoke all on function credits_private.create_export(uuid, uuid, text, jsonb, uuid[], text)
  from public, anon, authenticated, service_role;
-- end

-- from sql/app/private/read_stats.sql
-- read_stats: the figures of get_user_stats. Writes nothing.

create or replace function credits_private.read_stats(p_user_id uuid)
  returns public.user_stats
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_account public.user_credits := credits_private.read_account(p_user_id);
  v_stats public.user_stats;
begin
  select count(*) into v_stats.projects from public.projects as p where p.user_id = p_user_id;
  select count(*) into v_stats.exports
  from public.projects as p
  join public.exports as e on e.project_id = p.id
  where p.user_id = p_user_id;
  v_stats.lifetime_exports := v_stats.exports + coalesce(
    (select d.count from credits_private.deleted_exports as d where d.user_id = p_user_id), 0
  );
  v_stats.account_age := (select credits_private.now() - u.created_at from auth.users as u where u.id = p_user_id);
  v_stats.credits := v_account.credits_remaining;
  return v_stats;
end;
$$;

comment on function credits_private.read_stats(uuid) is
  'Projects, exports, age of the account and balance of a user. Raises PT404 account_not_found and PT410 account_closed.';

revoke all on function credits_private.read_stats(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/app/private/write_profiles.sql
-- write_profiles: makes the profiles of users who were there before, a batch at a time.
--
-- Called by credits-db push in transactions of its own and by the migration for whoever is left. Takes the next p_limit
-- users without a profile after the id p_from, and says with which id to go on. Where the host makes its own
-- profiles (there is no trigger write_profile) there is nothing to do. Whom the host's table refuses is left out.

create or replace function credits_private.write_profiles(
  p_from uuid,
  p_limit integer
)
  returns uuid
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_users pg_catalog.uuid[];
  v_user pg_catalog.uuid;
begin
  if not exists (
    select
    from pg_catalog.pg_trigger as t
    where t.tgrelid = 'auth.users'::pg_catalog.regclass and t.tgfoid = 'credits_private.write_profile()'::pg_catalog.regprocedure
  ) then
    return null;
  end if;
  v_users := array(
    select u.id
    from auth.users as u
    where u.id > p_from
      and u.deleted_at is null
      and not exists (select from public.profiles as p where p.id = u.id)
    order by u.id
    limit p_limit
    for key share of u
  );
  begin
    insert into public.profiles (id, email)
    select u.id, u.email
    from auth.users as u
    where u.id = any (v_users)
    on conflict do nothing;
  exception
    when others then
      -- one whom the host's table does not take
      foreach v_user in array v_users loop
        begin
          insert into public.profiles (id, email)
          select u.id, u.email
          from auth.users as u
          where u.id = v_user
          on conflict do nothing;
        exception
          when others then
            raise warning 'credits-db: profiles does not take a user, who stays without (%: %)', sqlstate, sqlerrm;
        end;
      end loop;
  end;
  return v_users[cardinality(v_users)];
end;
$$;

comment on function credits_private.write_profiles(uuid, integer) is
  'Makes profiles for the next p_limit users who have none, after the id p_from. Returns the last of them, to go on with; null when nobody was left.';

revoke all on function credits_private.write_profiles(uuid, integer) from public, anon, authenticated, service_role;
-- end

-- from sql/app/fields/credits.sql
-- credits: a computed field of profiles, the balance now.
--
-- What has fallen due is counted, like get_user_credits. For that it asks whichever of the two reads the caller may
-- execute, and is null for a profile whose balance the caller may not read (hosts have profiles that all may see).
-- select=id,credits through PostgREST, p.credits in SQL.

create or replace function public.credits(profile public.profiles)
  returns bigint
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_account public.user_credits;
begin
  if has_function_privilege('public.get_user_credits_for(uuid)', 'execute') then
    v_account := public.get_user_credits_for(profile.id);
  elsif profile.id = auth.uid() then
    v_account := credits_private.get_user_credits();
  end if;
  return v_account.credits_remaining;
end;
$$;

comment on function public.credits(public.profiles) is
  'Computed field: the balance of the user now, what has fallen due included; null for somebody else''s.';

revoke all on function public.credits(public.profiles) from public, anon, authenticated, service_role;
grant execute on function public.credits(public.profiles) to authenticated, service_role;
-- end

-- from sql/app/views/users.sql
-- users: id, address and balance of every user whom the reader may see, from their profiles.
--
-- A face of profiles, with the rights of whoever reads. Where a relation of this name is here already, it stays.

do $$
begin
  if to_regclass('public.users') is not null then
    insert into credits_private.adopted_relations (relation) values ('public.users') on conflict (relation) do nothing;
    raise notice 'credits-db: public.users is there already and stays as it is; the view of this name is not made.';
  else
    create view public.users with (security_invoker = true) as
    select p.id, p.email, public.credits(p) as credits_balance
    from public.profiles as p;

    comment on view public.users is
      'Id, address and balance of users, from their profiles. Users see themselves.';
    comment on column public.users.id is
      'The user, as in auth.users.';
    comment on column public.users.email is
      'Their address, or null.';
    comment on column public.users.credits_balance is
      'Their balance now, in credits, what has fallen due included.';

    revoke all on table public.users from public, anon, authenticated, service_role;
    grant select on table public.users to authenticated, service_role;
  end if;
end;
$$;
-- end

-- from sql/app/rpc/consume_credit_and_create_export.sql
-- consume_credit_and_create_export: the signed-in user asks for an export and pays for it, in one transaction.

create or replace function credits_private.consume_credit_and_create_export(
  p_project_id uuid,
  p_type text,
  p_options jsonb,
  p_layer_ids uuid[],
  p_idempotency_key text
)
  returns public.exports
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.create_export(
    credits_private.current_user_id(), p_project_id, p_type, p_options, p_layer_ids, p_idempotency_key
  );
end;
$$;

comment on function credits_private.consume_credit_and_create_export(uuid, text, jsonb, uuid[], text) is
  'The body of public.consume_credit_and_create_export: the same for the user of the token, with definer rights.';

revoke all on function credits_private.consume_credit_and_create_export(uuid, text, jsonb, uuid[], text)
  from public, anon, authenticated, service_role;
grant execute on function credits_private.consume_credit_and_create_export(uuid, text, jsonb, uuid[], text) to authenticated;

create or replace function public.consume_credit_and_create_export(
  project_id uuid,
  type text,
  options jsonb default '{}',
  layer_ids uuid[] default null,
  idempotency_key text default null
)
  returns public.exports
  language plpgsql
  volatile
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.consume_credit_and_create_export(project_id, type, options, layer_ids, idempotency_key);
end;
$$;

comment on function public.consume_credit_and_create_export(uuid, text, jsonb, uuid[], text) is
  'Make an export of your project and pay one credit, or nothing with the entitlement that includes it (paid_by says which). layer_ids: null for all. Returns the export; the same idempotency_key returns the same export again. Raises PT401 not_authenticated, PT402 insufficient_credits, PT404 account_not_found or project_not_found, PT410 account_closed, PT422 idempotency_key_reused, 22023 invalid_idempotency_key or invalid_argument.';

revoke all on function public.consume_credit_and_create_export(uuid, text, jsonb, uuid[], text)
  from public, anon, authenticated, service_role;
grant execute on function public.consume_credit_and_create_export(uuid, text, jsonb, uuid[], text) to authenticated;
-- end

-- from sql/app/rpc/consume_credit_and_create_export_for.sql
-- consume_credit_and_create_export_for: a service makes an export for a user, who pays for it.

create or replace function public.consume_credit_and_create_export_for(
  user_id uuid,
  project_id uuid,
  type text,
  options jsonb default '{}',
  layer_ids uuid[] default null,
  idempotency_key text default null
)
  returns public.exports
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.create_export(user_id, project_id, type, options, layer_ids, idempotency_key);
end;
$$;

comment on function public.consume_credit_and_create_export_for(uuid, uuid, text, jsonb, uuid[], text) is
  'Make an export of a project of a user, who pays one credit, or nothing with the entitlement that includes it (paid_by says which). Returns the export; the same idempotency_key returns the same export again. Raises PT401 not_authenticated for a null user_id, PT402 insufficient_credits, PT404 account_not_found or project_not_found, PT410 account_closed, PT422 idempotency_key_reused, 22023 invalid_idempotency_key or invalid_argument.';

revoke all on function public.consume_credit_and_create_export_for(uuid, uuid, text, jsonb, uuid[], text)
  from public, anon, authenticated, service_role;
grant execute on function public.consume_credit_and_create_export_for(uuid, uuid, text, jsonb, uuid[], text) to service_role;
-- end

-- from sql/app/rpc/get_user_stats.sql
-- get_user_stats: the figures of the signed-in user, for a settings screen. Writes nothing, so it also answers a GET.

create or replace function credits_private.get_user_stats()
  returns public.user_stats
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_stats(credits_private.current_user_id());
end;
$$;

comment on function credits_private.get_user_stats() is
  'The body of public.get_user_stats: the same for the user of the token, with definer rights.';

revoke all on function credits_private.get_user_stats() from public, anon, authenticated, service_role;
grant execute on function credits_private.get_user_stats() to authenticated;

create or replace function public.get_user_stats()
  returns public.user_stats
  language plpgsql
  stable
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.get_user_stats();
end;
$$;

comment on function public.get_user_stats() is
  'Projects, exports, exports ever made, age of the account and balance of the signed-in user; writes nothing. Raises PT401 not_authenticated, PT404 account_not_found and PT410 account_closed.';

revoke all on function public.get_user_stats() from public, anon, authenticated, service_role;
grant execute on function public.get_user_stats() to authenticated;
-- end

-- from sql/app/rpc/get_user_stats_for.sql
-- get_user_stats_for: the figures of a user, asked by a service. Writes nothing.

create or replace function public.get_user_stats_for(
  user_id uuid
)
  returns public.user_stats
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_stats(user_id);
end;
$$;

comment on function public.get_user_stats_for(uuid) is
  'Projects, exports, exports ever made, age of the account and balance of a user; writes nothing. Raises PT404 account_not_found and PT410 account_closed.';

revoke all on function public.get_user_stats_for(uuid) from public, anon, authenticated, service_role;
grant execute on function public.get_user_stats_for(uuid) to service_role;
-- end

-- from sql/app/triggers/forget_project.sql
-- forget_project: what was noted of a deleted project is gone before anybody else can see it.

create or replace function credits_private.forget_project()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  delete from credits_private.deleted_projects as d where d.id = new.id;
  return null;
end;
$$;

comment on function credits_private.forget_project() is
  'Trigger on deleted_projects, at the end of the transaction: removes the note.';

revoke all on function credits_private.forget_project() from public, anon, authenticated, service_role;

create constraint trigger forget_project
  after insert on credits_private.deleted_projects
  deferrable initially deferred
  for each row
  execute function credits_private.forget_project();

comment on trigger forget_project on credits_private.deleted_projects is
  'A note lasts as long as the transaction.';
-- end

-- from sql/app/triggers/remove_files.sql
-- remove_files: what lies in storage for rows that were deleted is queued for removal, in the same transaction.
--
-- Whatever deletes them: the user, a cascade, a deletion of the account; a statement at a time, and only what is really
-- gone. The trigger says which columns are paths. No object in storage has a longer name than 1024 bytes. A path that
-- waits already gets a new id, so that whoever was at work on it does not acknowledge this removal with that one. The item
-- says whose project it was, for a worker to compare. When a cascade comes to layers and exports, their projects are gone:
-- the trigger of projects, which comes before, has noted their users (deleted_projects).

create or replace function credits_private.remove_files()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
declare
  v_project pg_catalog.text := case when tg_relid = 'public.projects'::regclass then 'id' else 'project_id' end::pg_catalog.text;
begin
  if tg_relid = 'public.projects'::regclass then
    execute format(
      $sql$
        insert into credits_private.deleted_projects (id, user_id)
        select d.%I, d.user_id
        from deleted as d
        where d.user_id is not null
        on conflict (id) do update set user_id = excluded.user_id
      $sql$,
      v_project
    );
  end if;
  execute format(
    $sql$
      insert into credits_private.outbox as o (kind, payload, created_at, claimable_at)
      select distinct on (f.path)
        'remove_file', jsonb_build_object('path', f.path, 'owner', %3$s), $1, $1
      from deleted as d
      cross join unnest(array[%1$s]) as f (path)
      left join public.projects as p on p.id = d.%2$I
      left join credits_private.deleted_projects as n on n.id = d.%2$I
      where octet_length(f.path) between 1 and 1024
      order by f.path, starts_with(f.path, %3$s || '/') is true desc, n.user_id
      on conflict ((payload ->> 'path')) where kind = 'remove_file' do update
      set id = gen_random_uuid(),
        -- whose folder it lies in has the say
        payload = case
          when starts_with(o.payload ->> 'path', o.payload ->> 'owner' || '/') then o.payload else excluded.payload
        end,
        attempts = 0,
        created_at = excluded.created_at,
        claimable_at = excluded.claimable_at
    $sql$,
    (select string_agg(format('d.%I::pg_catalog.text', a.name), ', ') from unnest(tg_argv) as a (name)),
    v_project,
    case when v_project = 'id' then 'd.user_id' else 'coalesce(p.user_id, n.user_id)' end
  )
  using credits_private.now();
  return null;
end;
$$;

comment on function credits_private.remove_files() is
  'Trigger after delete, once a statement: queues the files that the rows named, in the columns that the trigger names.';

revoke all on function credits_private.remove_files() from public, anon, authenticated, service_role;

create or replace trigger remove_files
  after delete on public.projects
  referencing old table as deleted
  for each statement
  execute function credits_private.remove_files('source_image_path', 'manifest_path', 'thumbnail_path');

create or replace trigger remove_files
  after delete on public.project_layers
  referencing old table as deleted
  for each statement
  execute function credits_private.remove_files('png_path');

create or replace trigger remove_files
  after delete on public.exports
  referencing old table as deleted
  for each statement
  execute function credits_private.remove_files('asset_path');

comment on trigger remove_files on public.projects is
  'The files of projects go after them.';
comment on trigger remove_files on public.project_layers is
  'The pictures of layers go after them.';
comment on trigger remove_files on public.exports is
  'What came of exports goes after them.';
-- end

-- from sql/app/triggers/keep_files.sql
-- keep_files: a path that a row is given is not removed any more, if it still waits for that.
--
-- Who uploads under a name that was just deleted (ada/avatar.png) would else lose what is new. What a worker has claimed
-- already may be gone all the same: a name of its own for each upload is safer.

create or replace function credits_private.keep_files()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
declare
  v_row pg_catalog.jsonb := to_jsonb(new);
begin
  delete from credits_private.outbox as o
  where o.kind = 'remove_file' and o.payload ->> 'path' = any (array(select v_row ->> a.name from unnest(tg_argv) as a (name)));
  return null;
end;
$$;

comment on function credits_private.keep_files() is
  'Trigger after insert or update: takes the files that the row names out of the queue, in the columns that the trigger names.';

revoke all on function credits_private.keep_files() from public, anon, authenticated, service_role;

create or replace trigger keep_files
  after insert or update of source_image_path, manifest_path, thumbnail_path on public.projects
  for each row
  when (coalesce(new.source_image_path, new.manifest_path, new.thumbnail_path) is not null)
  execute function credits_private.keep_files('source_image_path', 'manifest_path', 'thumbnail_path');

create or replace trigger keep_files
  after insert or update of png_path on public.project_layers
  for each row
  when (new.png_path is not null)
  execute function credits_private.keep_files('png_path');

create or replace trigger keep_files
  after insert or update of asset_path on public.exports
  for each row
  when (new.asset_path is not null)
  execute function credits_private.keep_files('asset_path');

comment on trigger keep_files on public.projects is
  'What a project names is not removed.';
comment on trigger keep_files on public.project_layers is
  'What a layer names is not removed.';
comment on trigger keep_files on public.exports is
  'What an export names is not removed.';
-- end

-- from sql/app/triggers/count_exports.sql
-- count_exports: exports that are deleted still count in lifetime_exports.
--
-- For the user of their project, a statement at a time, and only those that are really gone. Where the project went
-- first, remove_files has noted its user. Nothing is counted for a user who is gone: the counter would
-- outlive them. For that the user is shared, so that one who is just going waits (or, having come first, meets this in a
-- deadlock; Postgres ends one of the two).

create or replace function credits_private.count_exports()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  with counted as (
    select coalesce(p.user_id, n.user_id) as user_id, count(*) as count
    from deleted as d
    left join public.projects as p on p.id = d.project_id
    left join credits_private.deleted_projects as n on n.id = d.project_id
    group by 1
  ),
  there as (
    select u.id
    from auth.users as u
    where u.id in (select c.user_id from counted as c)
    order by u.id
    for key share
  )
  insert into credits_private.deleted_exports as e (user_id, count)
  select c.user_id, c.count
  from counted as c
  join there as t on t.id = c.user_id
  order by c.user_id
  on conflict (user_id) do update set count = e.count + excluded.count;
  return null;
end;
$$;

comment on function credits_private.count_exports() is
  'Trigger on exports after a deletion, once a statement: counts the exports that went, for the users of their projects.';

revoke all on function credits_private.count_exports() from public, anon, authenticated, service_role;

create or replace trigger count_exports
  after delete on public.exports
  referencing old table as deleted
  for each statement
  execute function credits_private.count_exports();

comment on trigger count_exports on public.exports is
  'Exports that go are counted.';
-- end

-- check: every table of the app has row level security
do $$
begin
  if exists (
    select
    from pg_catalog.pg_class as c
    where c.oid = any (array['public.profiles', 'public.projects', 'public.project_layers', 'public.exports']::regclass[])
      and not c.relrowsecurity
  ) then
    raise exception 'a table of the app has no row level security';
  end if;
end;
$$;
