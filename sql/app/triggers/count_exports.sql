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
