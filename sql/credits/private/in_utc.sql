-- in_utc: an instant and an interval after it, by the calendar of UTC whatever the session's time zone.

create or replace function credits_private.in_utc(
  p_at timestamptz,
  p_after interval
)
  returns timestamptz
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return ((p_at at time zone 'UTC') + p_after) at time zone 'UTC';
end;
$$;

comment on function credits_private.in_utc(timestamptz, interval) is
  'The instant that lies an interval after another, by the calendar of UTC.';

revoke all on function credits_private.in_utc(timestamptz, interval) from public, anon, authenticated, service_role;
