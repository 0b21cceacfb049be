-- period_after: when the period after that of an instant begins.
--
-- Counted on the calendar of UTC: a month added to a timestamptz would be a month of the session's time zone.

create or replace function credits_private.period_after(
  p_period public.grant_period,
  p_at timestamptz
)
  returns timestamptz
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return (
    date_trunc(p_period::pg_catalog.text, p_at at time zone 'UTC')
    + case p_period when 'day' then '1 day' when 'week' then '7 days' else '1 month' end::pg_catalog.interval
  ) at time zone 'UTC';
end;
$$;

comment on function credits_private.period_after(public.grant_period, timestamptz) is
  'The beginning of the next period, which is the end of the present one.';

revoke all on function credits_private.period_after(public.grant_period, timestamptz)
  from public, anon, authenticated, service_role;
