-- notify_changes: tells whoever LISTENs that some balance has changed, where an operator wants it.
--
-- One channel for all and nothing in it, since whoever may log in may LISTEN: something has changed, never whose
-- balance or how. However many a transaction changes, Postgres sends it once, at the commit. Who is told reads
-- last_seq, of which row level security shows what is theirs. Disabled as it comes, because commits that notify wait
-- for each other. Rows of a restore or a copy (session_replication_role = replica) notify nobody.

create or replace function credits_private.notify_changes()
  returns trigger
  language plpgsql
  set search_path = ''
as $$
begin
  perform pg_notify('credits_changed', '');
  return null;
end;
$$;

comment on function credits_private.notify_changes() is
  'Trigger on user_credits: notifies the channel credits_changed, with nothing in it.';

revoke all on function credits_private.notify_changes() from public, anon, authenticated, service_role;

create or replace trigger notify_changes
  after insert or update or delete on public.user_credits
  for each statement
  execute function credits_private.notify_changes();

comment on trigger notify_changes on public.user_credits is
  'Enabled while the setting notify_changes is on.';

-- a trigger made anew is enabled: the setting says whether it stays so, so that it outlives this file
select credits_private.set_setting(s.name, s.value)
from credits_private.settings as s
where s.name = 'notify_changes';
