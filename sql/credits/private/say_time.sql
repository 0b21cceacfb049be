-- say_time: an instant for a person, in UTC whatever the session's time zone.

create or replace function credits_private.say_time(p_at timestamptz)
  returns text
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return to_char(p_at at time zone 'UTC', 'FMDD FMMonth YYYY HH24:MI "UTC"');
end;
$$;

comment on function credits_private.say_time(timestamptz) is
  'An instant in words, to the minute: 21 November 2026 20:15 UTC.';

revoke all on function credits_private.say_time(timestamptz) from public, anon, authenticated, service_role;
