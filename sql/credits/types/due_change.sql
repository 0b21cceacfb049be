-- due_change: what has fallen due for a user and is not written yet, summed up (unswept).

create type credits_private.due_change as (
  credits bigint,
  freed bigint,
  bonus_at timestamptz,
  monthly bigint,
  next_at timestamptz
);

comment on type credits_private.due_change is
  'What has fallen due for a user and is not written yet.';
comment on column credits_private.due_change.credits is
  'How the balance moves once it is: grants less expiries, in credits.';
comment on column credits_private.due_change.freed is
  'Credits of holds that have expired.';
comment on column credits_private.due_change.bonus_at is
  'The instant of the newest monthly bonus among the grants, or null.';
comment on column credits_private.due_change.monthly is
  'What the monthly grants in force come to, in credits.';
comment on column credits_private.due_change.next_at is
  'The next instant after this one at which something falls due, or null.';

revoke all on type credits_private.due_change from public, anon, authenticated, service_role;
