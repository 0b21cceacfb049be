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
