-- recurring_grants: credits that come again every period, for one user or for all who hold an entitlement.
--
-- A row never changes its figures once it counts: another amount is another row, which begins when the present
-- period ends, so that nobody's present period depends on who looked first. What was granted stands in the ledger,
-- under a key made of name and period. Rows for everybody have the id of zeros, and remember how far their holders
-- have been told.

create table credits_private.recurring_grants (
  user_id uuid not null,
  name text not null,
  starts_at timestamptz not null,
  ends_at timestamptz,
  entitlement text,
  amount bigint not null,
  period public.grant_period not null,
  rollover boolean not null,
  told_to uuid,
  constraint recurring_grants_pkey primary key (user_id, name, starts_at)
);

comment on table credits_private.recurring_grants is
  'Credits that come again every period, for one user or for all who hold an entitlement.';
comment on column credits_private.recurring_grants.user_id is
  'Who gets them; zeros for all who hold the entitlement.';
comment on column credits_private.recurring_grants.name is
  'The operator''s word for it.';
comment on column credits_private.recurring_grants.starts_at is
  'Since when it counts.';
comment on column credits_private.recurring_grants.ends_at is
  'The instant from which it grants no more; null while it goes on.';
comment on column credits_private.recurring_grants.entitlement is
  'Who holds this gets them; null for a grant of one user.';
comment on column credits_private.recurring_grants.amount is
  'Credits for each period.';
comment on column credits_private.recurring_grants.period is
  'day, week or month, in UTC.';
comment on column credits_private.recurring_grants.rollover is
  'Whether what is left stays; otherwise it expires with its period.';
comment on column credits_private.recurring_grants.told_to is
  'Holders up to this id have it in their next_due_at; null once all have.';

revoke all on table credits_private.recurring_grants from public, anon, authenticated, service_role;
