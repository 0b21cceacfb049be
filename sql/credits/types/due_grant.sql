-- due_grant: a recurring grant as it concerns one user at one instant (find_grants).

create type credits_private.due_grant as (
  name text,
  amount bigint,
  period public.grant_period,
  key text,
  at timestamptz,
  is_due boolean,
  expires_at timestamptz,
  next_at timestamptz,
  is_in_force boolean,
  rollover boolean
);

comment on type credits_private.due_grant is
  'A recurring grant as it concerns one user at one instant.';
comment on column credits_private.due_grant.name is
  'The operator''s word for it.';
comment on column credits_private.due_grant.amount is
  'Credits for each period.';
comment on column credits_private.due_grant.period is
  'day, week or month.';
comment on column credits_private.due_grant.key is
  'The key of its ledger row for the present period: what makes it once per user, grant and period.';
comment on column credits_private.due_grant.at is
  'The instant from which it counts in the present period; null where it does not.';
comment on column credits_private.due_grant.is_due is
  'Whether that instant has come and nothing wrote the row yet.';
comment on column credits_private.due_grant.expires_at is
  'When the credits of the present period expire; null where they roll over.';
comment on column credits_private.due_grant.next_at is
  'The next instant after this one at which it falls due; null when there is none.';
comment on column credits_private.due_grant.is_in_force is
  'Whether it holds at this instant: begun, not ended, the entitlement held.';
comment on column credits_private.due_grant.rollover is
  'Whether what is left stays.';

revoke all on type credits_private.due_grant from public, anon, authenticated, service_role;
