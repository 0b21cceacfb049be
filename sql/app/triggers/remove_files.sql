-- remove_files: what lies in storage for a row that was deleted is queued for removal, in the same transaction.
--
-- Whatever deletes the row: its user, a cascade, a deletion of the account. The trigger says which columns are paths. The
-- items name nobody, and a path that waits already is not queued again. No object in storage has a longer name than
-- 1024 bytes. After the deletion, because a trigger of the host's may call it off.

create or replace function credits_private.remove_files()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
declare
  v_row pg_catalog.jsonb := to_jsonb(old);
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  insert into credits_private.outbox (kind, payload, created_at, claimable_at)
  select distinct 'remove_file', jsonb_build_object('path', v_row ->> a.name), v_now, v_now
  from unnest(tg_argv) as a (name)
  where octet_length(v_row ->> a.name) between 1 and 1024
  on conflict do nothing;
  return null;
end;
$$;

comment on function credits_private.remove_files() is
  'Trigger after delete: queues the files that the row named, in the columns that the trigger names.';

revoke all on function credits_private.remove_files() from public, anon, authenticated, service_role;

create or replace trigger remove_files
  after delete on public.projects
  for each row
  execute function credits_private.remove_files('source_image_path', 'manifest_path', 'thumbnail_path');

create or replace trigger remove_files
  after delete on public.project_layers
  for each row
  execute function credits_private.remove_files('png_path');

create or replace trigger remove_files
  after delete on public.exports
  for each row
  execute function credits_private.remove_files('asset_path');

comment on trigger remove_files on public.projects is
  'The files of a project go after it.';
comment on trigger remove_files on public.project_layers is
  'The picture of a layer goes after it.';
comment on trigger remove_files on public.exports is
  'What came of an export goes after it.';
