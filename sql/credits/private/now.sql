-- now: the one clock of credits-db.
--
-- Everything that stamps or compares time asks here, after the lock that orders the operation, so it is
-- clock_timestamp() and not the start of the transaction. Tests replace this function to move time; no
-- setting of a session can, and `credits-db verify` reports a clock that is not this one.

create or replace function credits_private.now()
  returns timestamptz
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  return clock_timestamp();
end;
$$;

comment on function credits_private.now() is
  'The clock of credits-db: the real time, also inside a long transaction.';

revoke all on function credits_private.now() from public, anon, authenticated, service_role;
