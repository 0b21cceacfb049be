-- credit_holds: credits set aside for work whose price is not known yet.
--
-- Read by its user and by services; written by reserve_credits, capture_hold, release_hold and by time, under the
-- lock of the balance. credits_held of the balance is the sum of the active ones (verify_ledger proves it). A hold
-- has taken its lots when it was made (hold_lots), so they cannot expire under a running job. Goes with its account
-- (close_account).

create table public.credit_holds (
  user_id uuid not null,
  id uuid not null default gen_random_uuid(),
  amount bigint not null,
  status public.credit_hold_status not null default 'active',
  captured_amount bigint,
  seq bigint,
  expires_at timestamptz not null,
  created_at timestamptz not null,
  ended_at timestamptz,
  description text,
  metadata jsonb not null default '{}',
  idempotency_key text collate "C",
  constraint credit_holds_pkey primary key (user_id, id),
  constraint credit_holds_idempotency_key unique (user_id, idempotency_key),
  constraint credit_holds_capture_is_part check (captured_amount > 0 and captured_amount <= amount),
  constraint credit_holds_captured_has_row check ((status = 'captured') = (seq is not null and captured_amount is not null))
);

create unique index credit_holds_seq on public.credit_holds (user_id, seq) where seq is not null;
create index credit_holds_active on public.credit_holds (user_id, expires_at) where status = 'active';

comment on table public.credit_holds is
  'Credits set aside for work whose price is not known yet. Users read their own; only RPCs change them.';
comment on column public.credit_holds.user_id is
  'Whose credits.';
comment on column public.credit_holds.id is
  'The name of the hold, for capture_hold_for and release_hold_for.';
comment on column public.credit_holds.amount is
  'Credits set aside, 1 to 10^12.';
comment on column public.credit_holds.status is
  'Where it stands as last written: a hold past expires_at is expired, whether or not this says so yet.';
comment on column public.credit_holds.captured_amount is
  'Credits that were spent of it; null unless captured.';
comment on column public.credit_holds.seq is
  'The ledger row of the capture; null unless captured.';
comment on column public.credit_holds.expires_at is
  'When its credits go free by themselves.';
comment on column public.credit_holds.created_at is
  'When it was made.';
comment on column public.credit_holds.ended_at is
  'When it was captured, released or expired; null while active.';
comment on column public.credit_holds.description is
  'A sentence for the user, up to 500 characters.';
comment on column public.credit_holds.metadata is
  'A JSON object of the caller''s, up to 4 kB.';
comment on column public.credit_holds.idempotency_key is
  'The caller''s name for the operation, 1 to 255 characters, once a user over holds and ledger; a replay answers with this row.';

alter table public.credit_holds enable row level security;

revoke all on table public.credit_holds from public, anon, authenticated, service_role;
grant select on table public.credit_holds to authenticated, service_role;
