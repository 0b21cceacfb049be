-- credit_usage: what get_usage answers, the spending of one user in a window of time.

create type public.credit_usage as (
  consumed bigint,
  refunded bigint,
  operations bigint
);

comment on type public.credit_usage is
  'Spending in a window of time, in credits: what was consumed, what of it was given back, how often.';
comment on column public.credit_usage.consumed is
  'Credits consumed, a positive number.';
comment on column public.credit_usage.refunded is
  'Credits of consumptions given back in the same window, a positive number.';
comment on column public.credit_usage.operations is
  'How many consumptions there were.';

revoke all on type public.credit_usage from public, anon, authenticated, service_role;
grant usage on type public.credit_usage to authenticated, service_role;
