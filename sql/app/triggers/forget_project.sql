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
