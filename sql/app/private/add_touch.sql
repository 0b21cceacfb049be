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
