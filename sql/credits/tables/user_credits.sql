-- user_credits: one row a user, the only stored balance and the only lock.
--
-- Read by its user (row level security) and by services; written by nobody but the engine in
-- credits_private. Whoever changes credits locks this row first, so operations of one user queue and two
-- users never wait for each other. Small, with no index but its key and room in each page, so that an
-- update stays on its page (HOT). It goes with its auth.users row, and never before (references/user_credits.sql).

create table public.user_credits (
  user_id uuid primary key,
  credits_remaining bigint not null default 0,
  credits_held bigint not null default 0,
  total_credits bigint not null default 0,
  used_credits bigint not null default 0,
  monthly_bonus_credits bigint not null default 0,
  last_bonus_date timestamptz,
  last_purchase_at timestamptz,
  last_seq bigint not null default 0,
  next_due_at timestamptz,
  alert_below bigint,
  created_at timestamptz not null default credits_private.now(),
  updated_at timestamptz not null default credits_private.now(),
  last_hold_at timestamptz,
  constraint user_credits_remaining_is_total_less_used check (credits_remaining = total_credits - used_credits),
  constraint user_credits_held_not_negative check (credits_held >= 0)
)
with (fillfactor = 90);

comment on table public.user_credits is
  'One row a user: the balance, in whole credits. Users read their own; only RPCs change it.';
comment on column public.user_credits.user_id is
  'The user, as in auth.users.';
comment on column public.user_credits.credits_remaining is
  'The balance in credits: total_credits less used_credits, the sum of the ledger. Below zero is a debt.';
comment on column public.user_credits.credits_held is
  'Credits set aside by active holds; what may be spent is credits_remaining less these.';
comment on column public.user_credits.total_credits is
  'Credits ever received, less what stores took back and what expired.';
comment on column public.user_credits.used_credits is
  'Credits ever consumed, less consumptions given back.';
comment on column public.user_credits.monthly_bonus_credits is
  'Credits that the monthly plan of this user grants each month; 0 without one.';
comment on column public.user_credits.last_bonus_date is
  'When the monthly bonus was last granted.';
comment on column public.user_credits.last_purchase_at is
  'When credits were last bought.';
comment on column public.user_credits.last_seq is
  'The seq of the newest ledger row; 0 before the first.';
comment on column public.user_credits.next_due_at is
  'No later than the first instant at which a lot, hold or recurring grant of this user falls due; null when none will.';
comment on column public.user_credits.alert_below is
  'The balance under which a low-balance notice is queued; null for none.';
comment on column public.user_credits.created_at is
  'When the account was opened.';
comment on column public.user_credits.updated_at is
  'When credits_remaining last moved: created_at of the ledger row last_seq, or of the account before the first.';
comment on column public.user_credits.last_hold_at is
  'When credits were last reserved; null for never.';

alter table public.user_credits enable row level security;

revoke all on table public.user_credits from public, anon, authenticated, service_role;
grant select on table public.user_credits to authenticated, service_role;
