-- lasts_between: is an interval as long as two others allow, counted from now?
--
-- Intervals compare as if every month had 30 days; a calendar does not. So both are asked: the interval itself, which keeps
-- what no calendar holds away, and the instant that it leads to. None of its parts is negative, or it would be another
-- length in another month.

create or replace function credits_private.lasts_between(
  p_interval interval,
  p_least interval,
  p_most interval
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz;
begin
  if (p_interval between p_least and p_most) is not true
    or least(
      extract(year from p_interval), extract(month from p_interval), extract(day from p_interval),
      extract(hour from p_interval), extract(minute from p_interval), extract(second from p_interval)
    ) < 0
  then
    return false;
  end if;
  v_now := credits_private.now();
  return credits_private.in_utc(v_now, p_interval) - v_now between p_least and p_most;
end;
$$;

comment on function credits_private.lasts_between(interval, interval, interval) is
  'Whether an interval that begins now lasts at least p_least and at most p_most; false for null.';

revoke all on function credits_private.lasts_between(interval, interval, interval) from public, anon, authenticated, service_role;
