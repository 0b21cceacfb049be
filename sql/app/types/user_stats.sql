-- user_stats: what get_user_stats answers, the figures of a settings screen.

create type public.user_stats as (
  projects bigint,
  exports bigint,
  lifetime_exports bigint,
  account_age interval,
  credits bigint
);

comment on type public.user_stats is
  'What a user has and did: the figures of a settings screen.';
comment on column public.user_stats.projects is
  'Projects there are now.';
comment on column public.user_stats.exports is
  'Exports there are now, in all projects.';
comment on column public.user_stats.lifetime_exports is
  'Exports ever made, those that were deleted since included.';
comment on column public.user_stats.account_age is
  'Time since the sign-up, in days and hours; null where nobody noted it.';
comment on column public.user_stats.credits is
  'The balance now, what has fallen due included.';

revoke all on type public.user_stats from public, anon, authenticated, service_role;
grant usage on type public.user_stats to authenticated, service_role;
