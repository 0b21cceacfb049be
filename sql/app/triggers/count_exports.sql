-- count_exports: exports that are deleted still count in lifetime_exports.
--
-- A project counts its exports before it goes, since they go with it and no longer know whose they were; an export that
-- is deleted by itself counts for the user of its project. Nothing is counted for a user who is gone: the counter would
-- outlive them. For that the user is shared, so that one who is just going waits (or, having come first, meets this in a
-- deadlock; Postgres ends one of the two).

create or replace function credits_private.count_exports()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
declare
  v_user pg_catalog.uuid;
  v_count bigint := 1::bigint;
begin
  if tg_when = 'BEFORE' then
    v_user := old.user_id;
    select count(*) into v_count from public.exports as e where e.project_id = old.id;
  else
    select p.user_id into v_user from public.projects as p where p.id = old.project_id;
  end if;
  if v_count > 0 then
    perform from auth.users as u where u.id = v_user for key share;
    if found then
      insert into credits_private.deleted_exports as d (user_id, count)
      values (v_user, v_count)
      on conflict (user_id) do update set count = d.count + excluded.count;
    end if;
  end if;
  return old;
end;
$$;

comment on function credits_private.count_exports() is
  'Trigger on exports after, and on projects before a deletion: counts the exports that go, for the user of the project.';

revoke all on function credits_private.count_exports() from public, anon, authenticated, service_role;

create or replace trigger count_exports
  before delete on public.projects
  for each row
  execute function credits_private.count_exports();

create or replace trigger count_exports
  after delete on public.exports
  for each row
  execute function credits_private.count_exports();

comment on trigger count_exports on public.projects is
  'The exports of a project are counted before they go with it.';
comment on trigger count_exports on public.exports is
  'An export that goes by itself is counted.';
