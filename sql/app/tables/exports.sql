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
