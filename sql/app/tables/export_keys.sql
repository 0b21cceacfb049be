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
