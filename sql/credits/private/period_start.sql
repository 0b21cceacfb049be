-- period_start: when the period of an instant began, in UTC whatever the session's time zone.

create or replace function credits_private.period_start(
  p_period public.grant_period,
  p_at timestamptz
)
  returns timestamptz
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return date_trunc(p_period::pg_catalog.text, p_at at time zone 'UTC') at time zone 'UTC';
end;
$$;

comment on function credits_private.period_start(public.grant_period, timestamptz) is
  'The beginning of the period in which an instant lies: midnight UTC of the day, of Monday, of the first.';

revoke all on function credits_private.period_start(public.grant_period, timestamptz)
  from public, anon, authenticated, service_role;
