-- recurring_grant: credits that come again every period, as set_recurring_grant and end_recurring_grant answer.

create type public.recurring_grant as (
  user_id uuid,
  name text,
  entitlement text,
  amount bigint,
  period public.grant_period,
  rollover boolean,
  starts_at timestamptz,
  ends_at timestamptz
);

comment on type public.recurring_grant is
  'Credits that come again every period: for one user, or for all who hold an entitlement.';
comment on column public.recurring_grant.user_id is
  'Who gets them; null for all who hold the entitlement.';
comment on column public.recurring_grant.name is
  'The operator''s word for it, once a user, and once for all.';
comment on column public.recurring_grant.entitlement is
  'Who holds this gets them; null for a grant of one user.';
comment on column public.recurring_grant.amount is
  'Credits for each period.';
comment on column public.recurring_grant.period is
  'day, week or month, in UTC.';
comment on column public.recurring_grant.rollover is
  'Whether what is left stays; otherwise it expires with its period.';
comment on column public.recurring_grant.starts_at is
  'Since when it counts.';
comment on column public.recurring_grant.ends_at is
  'The instant from which it grants no more; null while it goes on.';

revoke all on type public.recurring_grant from public, anon, authenticated, service_role;
grant usage on type public.recurring_grant to service_role;
