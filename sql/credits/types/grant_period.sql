-- grant_period: how often a recurring grant is given. Periods begin at midnight UTC: of the day, of Monday, of the first.

create type public.grant_period as enum (
  'day',
  'week',
  'month'
);

comment on type public.grant_period is
  'The period of a recurring grant: day, week (from Monday) or month, in UTC.';

revoke all on type public.grant_period from public, anon, authenticated, service_role;
grant usage on type public.grant_period to service_role;
