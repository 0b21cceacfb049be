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
