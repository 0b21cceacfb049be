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
