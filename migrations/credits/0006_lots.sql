-- Lots: credits that expire, refunds of consumptions, holds, recurring grants, notices of a low balance.
--
-- Adds columns to user_credits, purchase_transactions and user_entitlements, which takes their locks until it ends; nothing
-- is rewritten. What row level security lets users see comes next.
--
-- depends: 0005_purchases_join_auth

-- by hand: sql/credits/types/ledger_violation.sql 681e268303369be6
alter type public.ledger_violation add attribute hold_id uuid;
comment on column public.ledger_violation.seq is
  'The ledger row that is wrong (of a purchase its first, of a lot its grant), or null when it is the balance row or a hold.';
comment on column public.ledger_violation.rule is
  'The rule that is broken: seq_has_gap, balance_breaks_chain, amount_breaks_type, balance_is_not_sum, used_is_not_consumption, last_seq_is_not_last, ledger_without_account, purchase_is_not_its_rows, lot_is_not_its_rows, lot_is_not_its_grant, lot_expired_with_credits, allocation_exceeds_row, refund_is_not_its_parts, refund_exceeds_consumption, lots_exceed_balance, held_is_not_holds, due_is_late, due_is_not_queued, capture_is_not_its_row, capture_exceeds_hold, hold_without_account, hold_is_not_its_lots.';
comment on column public.ledger_violation.expected is
  'The figure that the rule asks for: credits, a number of a row, or seconds since 1970 for an instant.';
comment on column public.ledger_violation.hold_id is
  'The hold that is wrong, where it is one.';

-- by hand: sql/credits/types/maintenance_report.sql 8beb9df32c808b48
alter type public.maintenance_report
  add attribute accounts integer,
  add attribute expirations integer,
  add attribute holds integer,
  add attribute grants integer;
comment on column public.maintenance_report.accounts is
  'Balances for which something had fallen due.';
comment on column public.maintenance_report.expirations is
  'Lots that expired with credits in them: ledger rows written.';
comment on column public.maintenance_report.holds is
  'Holds that expired.';
comment on column public.maintenance_report.grants is
  'Recurring grants that were due: ledger rows written.';

-- from sql/credits/types/credit_hold_status.sql
-- credit_hold_status: where a hold stands. Only an active one can move, once, to one of the others.

create type public.credit_hold_status as enum (
  'active',
  'captured',
  'released',
  'expired'
);

comment on type public.credit_hold_status is
  'Where a hold stands: active (credits set aside), captured (spent, whole or in part), released (given back), expired (given back by time).';

revoke all on type public.credit_hold_status from public, anon, authenticated, service_role;
grant usage on type public.credit_hold_status to authenticated, service_role;
-- end

-- from sql/credits/types/grant_period.sql
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
-- end

-- from sql/credits/types/recurring_grant.sql
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
-- end

-- from sql/credits/types/outbox_item.sql
-- outbox_item: something for a worker to do outside of the database, as claim_outbox hands it out.

create type public.outbox_item as (
  id uuid,
  kind text,
  user_id uuid,
  payload jsonb,
  -- squawk-ignore prefer-bigint-over-int
  attempts integer,
  created_at timestamptz
);

comment on type public.outbox_item is
  'Something for a worker to do outside of the database. Do it, then ack_outbox its id.';
comment on column public.outbox_item.id is
  'What ack_outbox takes.';
comment on column public.outbox_item.kind is
  'What to do: low_balance.';
comment on column public.outbox_item.user_id is
  'Whom it is about.';
comment on column public.outbox_item.payload is
  'low_balance: {"credits_remaining": 2, "alert_below": 5, "seq": 7}, the balance after the spend of ledger row seq.';
comment on column public.outbox_item.attempts is
  'How often it was claimed, this time included.';
comment on column public.outbox_item.created_at is
  'When it happened.';

revoke all on type public.outbox_item from public, anon, authenticated, service_role;
grant usage on type public.outbox_item to service_role;
-- end

-- from sql/credits/types/due_grant.sql
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
-- end

-- from sql/credits/types/due_change.sql
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
-- end

-- by hand: sql/credits/tables/settings.sql c14b4c9d45b98996
-- settings: how many holds
insert into credits_private.settings (name, value, kind, minimum, maximum, pattern, description)
values
  ('max_active_holds', '100', 'integer', 1, 100000, null, 'How many active holds a user may have at once.')
on conflict (name) do nothing;

-- by hand: sql/credits/tables/user_credits.sql 11637822342833b9
alter table public.user_credits
  add column last_hold_at timestamptz;
comment on column public.user_credits.next_due_at is
  'No later than the first instant at which a lot, hold or recurring grant of this user falls due; null when none will.';
comment on column public.user_credits.last_hold_at is
  'When credits were last reserved; null for never.';

-- by hand: sql/credits/tables/credit_transactions.sql 0013dc2b27e41ac3
alter table public.credit_transactions
  alter column user_id set (n_distinct = -0.01);

-- by hand: sql/credits/tables/purchase_transactions.sql fca128566339e846
alter table public.purchase_transactions
  add column credits_expire_at timestamptz;
grant select (credits_expire_at) on table public.purchase_transactions to authenticated;
comment on column public.purchase_transactions.credits_expire_at is
  'When its credits expire; null for never.';

-- by hand: sql/credits/tables/user_entitlements.sql 2156c73fa597f6c7
alter table public.user_entitlements
  add column active_since timestamptz not null default now();
alter table public.user_entitlements
  alter column active_since set default credits_private.now(),
  add column transferred_at timestamptz;
comment on column public.user_entitlements.active_since is
  'Since when it has been active without a break.';
comment on column public.user_entitlements.transferred_at is
  'When it came by a transfer, null where it did not: its recurring grants follow with the next period.';

-- from sql/credits/tables/credit_holds.sql
-- credit_holds: credits set aside for work whose price is not known yet.
--
-- Read by its user and by services; written by reserve_credits, capture_hold, release_hold and by time, under the
-- lock of the balance. credits_held of the balance is the sum of the active ones (verify_ledger proves it). A hold
-- has taken its lots when it was made (hold_lots), so they cannot expire under a running job. Goes with its account
-- (remove_lots).

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
-- end

-- from sql/credits/tables/credit_lots.sql
-- credit_lots: credits that expire, one row for each grant that does.
--
-- Credits that never expire have no row: they are what is left of the balance. remaining is granted and what
-- lot_allocations and hold_lots took and gave back (verify_ledger proves it). A spend changes remaining alone, which
-- no index knows, so that the update stays on its page. Rows stay for ever: a refund may come back to an expired lot.

create table credits_private.credit_lots (
  user_id uuid not null,
  seq bigint not null,
  granted bigint not null,
  remaining bigint not null,
  expires_at timestamptz not null,
  expired_at timestamptz,
  constraint credit_lots_pkey primary key (user_id, seq),
  constraint credit_lots_remaining_in_range check (remaining >= 0 and remaining <= granted)
)
with (fillfactor = 90);

create index credit_lots_open on credits_private.credit_lots (user_id, expires_at, seq) where expired_at is null;

comment on table credits_private.credit_lots is
  'Credits that expire, one row for each grant that does; spent soonest expiry first.';
comment on column credits_private.credit_lots.user_id is
  'Whose credits.';
comment on column credits_private.credit_lots.seq is
  'The ledger row that granted them.';
comment on column credits_private.credit_lots.granted is
  'Credits at the beginning: the amount of that row.';
comment on column credits_private.credit_lots.remaining is
  'Credits that are neither spent nor held nor expired.';
comment on column credits_private.credit_lots.expires_at is
  'The instant from which they cannot be spent.';
comment on column credits_private.credit_lots.expired_at is
  'When the expiry was written to the ledger; null before.';

revoke all on table credits_private.credit_lots from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/lot_allocations.sql
-- lot_allocations: which lots a movement of the ledger took from, or gave back to.
--
-- A refund finds here where the credits of its consumption came from, so that they go back under their own expiry.
-- What a consumption did not take from lots came from credits that never expire; a refund says so with lot 0, so
-- that the rows of an origin beyond its own add up to what was given back.

create table credits_private.lot_allocations (
  user_id uuid not null,
  origin_seq bigint not null,
  seq bigint not null,
  lot_seq bigint not null,
  amount bigint not null,
  constraint lot_allocations_pkey primary key (user_id, origin_seq, seq, lot_seq)
);

comment on table credits_private.lot_allocations is
  'Which lots each movement of the ledger took from, or gave back to.';
comment on column credits_private.lot_allocations.user_id is
  'Whose credits.';
comment on column credits_private.lot_allocations.origin_seq is
  'The movement that this belongs to: of a refund its consumption, of a clawback or its reversal the purchase, else seq itself; 0 where a new lot pays a debt, which nothing undoes.';
comment on column credits_private.lot_allocations.seq is
  'The ledger row that moved them.';
comment on column credits_private.lot_allocations.lot_seq is
  'The lot, by the ledger row that granted it; 0 for credits that never expire.';
comment on column credits_private.lot_allocations.amount is
  'Credits: negative taken from the lot, positive given back.';

revoke all on table credits_private.lot_allocations from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/hold_lots.sql
-- hold_lots: what active holds have taken of lots.
--
-- Written when the hold is made, soonest expiry first, and gone when it ends. The part of a hold that stands in no
-- lot here is covered by credits that never expire, or by nothing after a clawback.

create table credits_private.hold_lots (
  user_id uuid not null,
  hold_id uuid not null,
  lot_seq bigint not null,
  amount bigint not null,
  constraint hold_lots_pkey primary key (user_id, hold_id, lot_seq),
  constraint hold_lots_amount_positive check (amount > 0)
);

comment on table credits_private.hold_lots is
  'What active holds have taken of lots.';
comment on column credits_private.hold_lots.user_id is
  'Whose credits.';
comment on column credits_private.hold_lots.hold_id is
  'The hold.';
comment on column credits_private.hold_lots.lot_seq is
  'The lot.';
comment on column credits_private.hold_lots.amount is
  'Credits of the lot that the hold has.';

revoke all on table credits_private.hold_lots from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/recurring_grants.sql
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
-- end

-- from sql/credits/tables/due_accounts.sql
-- due_accounts: the queue of maintenance, by the instant at which something of a user falls due.
--
-- Says what next_due_at of the balance says, for all users with one; apart from it because an index on balances would
-- cost every spend. Written under the lock of the balance, by set_due and due_by.

create table credits_private.due_accounts (
  user_id uuid not null,
  due_at timestamptz not null,
  constraint due_accounts_pkey primary key (user_id)
);

create index due_accounts_due_at on credits_private.due_accounts (due_at);

comment on table credits_private.due_accounts is
  'The queue of maintenance: next_due_at of every balance that has one.';
comment on column credits_private.due_accounts.user_id is
  'Whose balance.';
comment on column credits_private.due_accounts.due_at is
  'Its next_due_at.';

revoke all on table credits_private.due_accounts from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/outbox.sql
-- outbox: what happened here and somebody outside should act on, until they say that they did.
--
-- Written in the transaction of what happened. A worker claims items for a while (claim_outbox) and removes them
-- when the work is done (ack_outbox); the items of one that died are handed out again. Items about a user go with
-- the account.

create table credits_private.outbox (
  id uuid not null default gen_random_uuid(),
  kind text not null,
  user_id uuid not null,
  payload jsonb not null,
  -- squawk-ignore prefer-bigint-over-int
  attempts integer not null default 0,
  created_at timestamptz not null,
  claimable_at timestamptz not null,
  constraint outbox_pkey primary key (id)
);

create index outbox_claimable_at on credits_private.outbox (claimable_at);
create index outbox_user_id on credits_private.outbox (user_id);

comment on table credits_private.outbox is
  'What happened here and somebody outside should act on, until they say that they did.';
comment on column credits_private.outbox.id is
  'What ack_outbox takes.';
comment on column credits_private.outbox.kind is
  'What to do: low_balance.';
comment on column credits_private.outbox.user_id is
  'Whom it is about.';
comment on column credits_private.outbox.payload is
  'The figures, by kind (outbox_item).';
comment on column credits_private.outbox.attempts is
  'How often it was claimed.';
comment on column credits_private.outbox.created_at is
  'When it happened.';
comment on column credits_private.outbox.claimable_at is
  'From when it may be claimed: at once, or when the present claim has run out.';

revoke all on table credits_private.outbox from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refuse_key.sql
-- refuse_key: the one wording of "this key means something else", with its ledger row where it has one.

create or replace function credits_private.refuse_key(
  p_idempotency_key text,
  p_seq bigint
)
  returns void
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  raise exception using
    errcode = 'PT422',
    message = 'idempotency_key_reused',
    detail = json_build_object('idempotency_key', p_idempotency_key, 'seq', p_seq),
    hint = 'This key already names another operation of this user: use a new key for a new operation.';
end;
$$;

comment on function credits_private.refuse_key(text, bigint) is
  'Raises PT422 idempotency_key_reused; always.';

revoke all on function credits_private.refuse_key(text, bigint) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/queue_alert.sql
-- queue_alert: tells the outbox that a spend took a balance below its alert_below.
--
-- Called by whoever has just found that it did: above or at it before, below it now, so once a crossing.

create or replace function credits_private.queue_alert(
  p_user_id uuid,
  p_alert_below bigint,
  p_balance bigint,
  p_seq bigint,
  p_at timestamptz
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  insert into credits_private.outbox (kind, user_id, payload, created_at, claimable_at)
  values (
    'low_balance',
    p_user_id,
    jsonb_build_object('credits_remaining', p_balance, 'alert_below', p_alert_below, 'seq', p_seq),
    p_at,
    p_at
  );
end;
$$;

comment on function credits_private.queue_alert(uuid, bigint, bigint, bigint, timestamptz) is
  'Queues a low_balance item.';

revoke all on function credits_private.queue_alert(uuid, bigint, bigint, bigint, timestamptz)
  from public, anon, authenticated, service_role;
-- end

-- squawk-ignore ban-drop-function
drop function credits_private.move_balance(uuid, public.credit_transaction_type, bigint);

-- from sql/credits/private/move_balance.sql
-- move_balance: adds a signed amount to a balance, within the limits of its type.
--
-- The caller holds the lock of lock_account, has settled what was due, and writes the ledger row from what this
-- returns. A balance goes below zero only through clawback, admin_adjustment and what may owe (the capture of a
-- hold), and never beyond 2^53, where JSON numbers stop being exact. A movement without an instant of its own is
-- dated now, and before whatever falls due next: it was decided on without that.

create or replace function credits_private.move_balance(
  p_user_id uuid,
  p_type public.credit_transaction_type,
  p_amount bigint,
  p_at timestamptz default null,
  p_may_owe boolean default false
)
  returns public.user_credits
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_usage bigint := case when p_type in ('consumption', 'refund') then p_amount else 0 end;
  v_now pg_catalog.timestamptz := p_at;
begin
  if v_now is null then
    select least(credits_private.now(), a.next_due_at - pg_catalog.interval '1 microsecond')
    into v_now
    from public.user_credits as a
    where a.user_id = p_user_id;
  end if;
  update public.user_credits as a
  set
    credits_remaining = a.credits_remaining + p_amount,
    total_credits = a.total_credits + p_amount - v_usage,
    used_credits = a.used_credits - v_usage,
    last_bonus_date = case when p_type = 'monthly_bonus' then v_now else a.last_bonus_date end,
    last_purchase_at = case when p_type = 'purchase' then v_now else a.last_purchase_at end,
    last_seq = a.last_seq + 1,
    updated_at = v_now
  where a.user_id = p_user_id
    and a.credits_remaining + p_amount between -9007199254740991 and 9007199254740991
    and (
      p_amount > 0
      or p_may_owe
      or p_type in ('clawback', 'admin_adjustment')
      or a.credits_remaining - a.credits_held >= -p_amount
    )
  returning a.* into v_account;
  if found then
    if p_type = 'consumption'
      and v_account.alert_below > v_account.credits_remaining
      and v_account.alert_below <= v_account.credits_remaining - p_amount
    then
      perform credits_private.queue_alert(
        p_user_id, v_account.alert_below, v_account.credits_remaining, v_account.last_seq, v_now
      );
    end if;
    return v_account;
  end if;
  select a.* into v_account from public.user_credits as a where a.user_id = p_user_id;
  if v_account.credits_remaining + p_amount between -9007199254740991 and 9007199254740991 then
    perform credits_private.refuse_spend(v_account, -p_amount);
  end if;
  raise exception using
    errcode = 'PT422',
    message = 'balance_limit',
    detail = json_build_object('amount', p_amount, 'credits_remaining', v_account.credits_remaining),
    hint = 'A balance stays below 9007199254740992 credits.';
end;
$$;

comment on function credits_private.move_balance(uuid, public.credit_transaction_type, bigint, timestamptz, boolean) is
  'Moves a locked balance and numbers the movement (last_seq, updated_at). Raises PT402 insufficient_credits and PT422 balance_limit.';

revoke all on function credits_private.move_balance(uuid, public.credit_transaction_type, bigint, timestamptz, boolean)
  from public, anon, authenticated, service_role;
-- end

-- squawk-ignore ban-drop-function
drop function credits_private.post(uuid, public.credit_transaction_type, bigint, text, jsonb, text);

-- from sql/credits/private/post.sql
-- post: moves a locked balance and writes the ledger row that says so.
--
-- For operations that have checked their arguments and hold the lock. The row is numbered here, under the
-- lock, so the ledger's own trigger has nothing left to do. Lots are the caller's business.

create or replace function credits_private.post(
  p_user_id uuid,
  p_type public.credit_transaction_type,
  p_amount bigint,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text,
  p_at timestamptz default null,
  p_may_owe boolean default false
)
  returns public.credit_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits := credits_private.move_balance(p_user_id, p_type, p_amount, p_at, p_may_owe);
  v_row public.credit_transactions;
begin
  insert into public.credit_transactions as t (
    user_id, seq, amount, balance_after, created_at, type, idempotency_key, description, metadata
  )
  values (
    p_user_id, v_account.last_seq, p_amount, v_account.credits_remaining, v_account.updated_at,
    p_type, p_idempotency_key, p_description, p_metadata
  )
  returning t.* into v_row;
  return v_row;
end;
$$;

comment on function credits_private.post(uuid, public.credit_transaction_type, bigint, text, jsonb, text, timestamptz, boolean) is
  'Moves a locked balance and returns the ledger row. Raises PT402 insufficient_credits and PT422 balance_limit.';

revoke all on function credits_private.post(uuid, public.credit_transaction_type, bigint, text, jsonb, text, timestamptz, boolean)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/lock_account.sql
-- lock_account: takes the one lock, opening the account if need be.
--
-- The first step of every operation that decides something about a balance; what it returns is the newest committed
-- state, and stays so until the transaction ends. NO KEY: a reference to the row need not wait. The user is shared
-- first, in the order of a deletion: who moves a balance twice in one transaction looks at the user again (the
-- foreign key).

create or replace function credits_private.lock_account(p_user_id uuid)
  returns public.user_credits
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
begin
  perform from auth.users as u where u.id = p_user_id for key share;
  loop
    select a.* into v_account
    from public.user_credits as a
    where a.user_id = p_user_id
    for no key update;
    exit when found;
    perform credits_private.open_account(p_user_id);
  end loop;
  return v_account;
end;
$$;

comment on function credits_private.lock_account(uuid) is
  'Locks the balance row of a user and returns it, opening the account first where it is missing. Raises PT401 and PT404 like open_account.';

revoke all on function credits_private.lock_account(uuid) from public, anon, authenticated, service_role;
-- end

-- squawk-ignore ban-drop-function
drop function credits_private.find_replay(uuid, public.credit_transaction_type, bigint, text, jsonb, text);

-- from sql/credits/private/find_replay.sql
-- find_replay: has this key been used, and for the same thing?
--
-- Called under the lock of the balance, so the answer cannot change before the caller acts on it. Same
-- key and same meaning: the row that the first call wrote. Same key, other meaning: PT422. Metadata is
-- compared as jsonb, so the order of its keys and 1.0 for 1 make no difference. A null amount is not compared: it
-- asked for all that was left. The capture of a hold means that hold, and no other row means one.

create or replace function credits_private.find_replay(
  p_user_id uuid,
  p_type public.credit_transaction_type,
  p_amount bigint,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text,
  p_hold_id uuid default null
)
  returns public.credit_transactions
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_row public.credit_transactions;
begin
  select t.* into v_row
  from public.credit_transactions as t
  where t.user_id = p_user_id
    and t.idempotency_key = p_idempotency_key;
  if v_row.seq is null then
    if exists (
      select from public.credit_holds as h where h.user_id = p_user_id and h.idempotency_key = p_idempotency_key
    ) then
      perform credits_private.refuse_key(p_idempotency_key, null);
    end if;
  elsif (v_row.type, v_row.amount, v_row.description, v_row.metadata)
      is distinct from (p_type, coalesce(p_amount, v_row.amount), p_description, p_metadata)
    or (
      select h.id from public.credit_holds as h where h.user_id = p_user_id and h.seq = v_row.seq
    ) is distinct from p_hold_id
  then
    perform credits_private.refuse_key(p_idempotency_key, v_row.seq);
  end if;
  return v_row;
end;
$$;

comment on function credits_private.find_replay(uuid, public.credit_transaction_type, bigint, text, jsonb, text, uuid) is
  'The ledger row that this key wrote, or a null row when it is unused. Raises PT422 idempotency_key_reused when it means something else.';

revoke all on function credits_private.find_replay(uuid, public.credit_transaction_type, bigint, text, jsonb, text, uuid)
  from public, anon, authenticated, service_role;
-- end

-- squawk-ignore ban-drop-function
drop function credits_private.is_unused(uuid, text);

-- from sql/credits/private/is_unused.sql
-- is_unused: has this user no ledger row, and no hold, with this key?
--
-- The condition under which spend takes credits. Volatile, and that is the point: it looks with a snapshot of its
-- own. When the balance row was changed by somebody for whom the update had to wait, Postgres asks again, now
-- under the lock, and a snapshot as old as the update's would not show the ledger row that they have written. Holds are
-- looked through only for a user who ever had one.

create or replace function credits_private.is_unused(
  p_user_id uuid,
  p_idempotency_key text,
  p_has_holds boolean
)
  returns boolean
  language plpgsql
  volatile
  set search_path = ''
as $$
-- @plpgsql_check_options: performance_warnings = off
begin
  perform from public.credit_transactions as t
  where t.user_id = p_user_id and t.idempotency_key = p_idempotency_key;
  if found or not p_has_holds then
    return not found;
  end if;
  perform from public.credit_holds as h
  where h.user_id = p_user_id and h.idempotency_key = p_idempotency_key;
  return not found;
end;
$$;

comment on function credits_private.is_unused(uuid, text, boolean) is
  'Whether no ledger row of this user has this key, and no hold where p_has_holds, as of now and not of the statement that asks.';

revoke all on function credits_private.is_unused(uuid, text, boolean) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/period_start.sql
-- period_start: when the period of an instant began, in UTC whatever the session's time zone.

create or replace function credits_private.period_start(
  p_period public.grant_period,
  p_at timestamptz
)
  returns timestamptz
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return date_trunc(p_period::pg_catalog.text, p_at at time zone 'UTC') at time zone 'UTC';
end;
$$;

comment on function credits_private.period_start(public.grant_period, timestamptz) is
  'The beginning of the period in which an instant lies: midnight UTC of the day, of Monday, of the first.';

revoke all on function credits_private.period_start(public.grant_period, timestamptz)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/period_after.sql
-- period_after: when the period after that of an instant begins.
--
-- Counted on the calendar of UTC: a month added to a timestamptz would be a month of the session's time zone.

create or replace function credits_private.period_after(
  p_period public.grant_period,
  p_at timestamptz
)
  returns timestamptz
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return (
    date_trunc(p_period::pg_catalog.text, p_at at time zone 'UTC')
    + case p_period when 'day' then '1 day' when 'week' then '7 days' else '1 month' end::pg_catalog.interval
  ) at time zone 'UTC';
end;
$$;

comment on function credits_private.period_after(public.grant_period, timestamptz) is
  'The beginning of the next period, which is the end of the present one.';

revoke all on function credits_private.period_after(public.grant_period, timestamptz)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/in_utc.sql
-- in_utc: an instant and an interval after it, by the calendar of UTC whatever the session's time zone.

create or replace function credits_private.in_utc(
  p_at timestamptz,
  p_after interval
)
  returns timestamptz
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return ((p_at at time zone 'UTC') + p_after) at time zone 'UTC';
end;
$$;

comment on function credits_private.in_utc(timestamptz, interval) is
  'The instant that lies an interval after another, by the calendar of UTC.';

revoke all on function credits_private.in_utc(timestamptz, interval) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/lasts_between.sql
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
-- end

-- from sql/credits/private/find_grants.sql
-- find_grants: the recurring grants of a user, as they stand at an instant.
--
-- Both who writes what is due and who only shows it ask here. In its present period a grant counts from the latest
-- of: the period's beginning, its own, that of the entitlement; and it counts if at that very instant it had not
-- ended and the entitlement was held, so that it makes no difference when somebody looks. Periods that are over are
-- never caught up, and who has no room below the limit of a balance gets nothing. Two rows of one name may share a
-- key, around a change: the earlier counts.

create or replace function credits_private.find_grants(
  p_user_id uuid,
  p_at timestamptz
)
  returns setof credits_private.due_grant
  language plpgsql
  stable
  rows 2
  set search_path = ''
as $$
begin
  perform from credits_private.recurring_grants as g
  where g.user_id in (p_user_id, '00000000-0000-0000-0000-000000000000');
  if not found then
    return;  -- most databases have none, and need not plan around them
  end if;
  return query
  select
    g.name,
    g.amount,
    g.period,
    k.key,
    case when (s.at >= b.until) is not true then s.at end,
    s.at <= p_at
      and (s.at >= b.until) is not true
      and a.credits_remaining + g.amount <= 9007199254740991
      and not exists (
        select from public.credit_transactions as t where t.user_id = p_user_id and t.idempotency_key = k.key
      ),
    case when not g.rollover then n.next_period end,
    case when (n.at >= b.until) is not true then n.at end,
    s.at <= p_at and (p_at >= b.until) is not true,
    g.rollover
  from credits_private.recurring_grants as g
  join public.user_credits as a on a.user_id = p_user_id
  left join public.user_entitlements as e on e.user_id = p_user_id and e.entitlement = g.entitlement
  cross join lateral (
    select
      credits_private.period_start(g.period, p_at) as period,
      least(g.ends_at, e.active_until) as until
  ) as b
  cross join lateral (
    select greatest(
      b.period,
      g.starts_at,
      e.active_since,
      -- who had it before has had the credits of this period
      case when e.transferred_at >= b.period then credits_private.period_after(g.period, p_at) end
    ) as at
  ) as s
  cross join lateral (
    select
      p.next_period,
      case when s.at > p_at then s.at else p.next_period end as at
    from (select credits_private.period_after(g.period, p_at) as next_period) as p
  ) as n
  cross join lateral (
    select concat_ws(
      ':', 'credits:grant', case when g.entitlement is null then 'user' else 'all' end, g.name, g.period,
      to_char(b.period at time zone 'UTC', 'YYYY-MM-DD')
    ) as key
  ) as k
  where g.user_id in (p_user_id, '00000000-0000-0000-0000-000000000000')
    and (g.entitlement is null or e.user_id is not null)
    and (g.ends_at > b.period) is not false;
end;
$$;

comment on function credits_private.find_grants(uuid, timestamptz) is
  'The recurring grants that concern a user at an instant, each with when it counts and whether it waits to be written.';

revoke all on function credits_private.find_grants(uuid, timestamptz) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/next_end.sql
-- next_end: the first end of a lot or of a hold of a user after an instant.
--
-- Lots count while there is something in them, or in a hold that comes back before they end.

create or replace function credits_private.next_end(
  p_user_id uuid,
  p_after timestamptz
)
  returns timestamptz
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return least(
    (
      select l.expires_at
      from credits_private.credit_lots as l
      where l.user_id = p_user_id
        and l.expired_at is null
        and l.expires_at > p_after
        and (
          l.remaining > 0
          or exists (select from credits_private.hold_lots as h where h.user_id = p_user_id and h.lot_seq = l.seq)
        )
      order by l.expires_at
      limit 1
    ),
    (
      select h.expires_at
      from public.credit_holds as h
      where h.user_id = p_user_id and h.status = 'active' and h.expires_at > p_after
      order by h.expires_at
      limit 1
    )
  );
end;
$$;

comment on function credits_private.next_end(uuid, timestamptz) is
  'The first instant after p_after at which a lot or a hold of the user ends, or null.';

revoke all on function credits_private.next_end(uuid, timestamptz) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/due_by.sql
-- due_by: something of this user will fall due at an instant; see that it is not missed.
--
-- The caller holds the lock of the balance. Only ever brings next_due_at forward: too early costs a look, too late
-- would let expired credits be spent.

create or replace function credits_private.due_by(
  p_user_id uuid,
  p_at timestamptz
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  update public.user_credits as a
  set next_due_at = p_at
  where a.user_id = p_user_id
    and (a.next_due_at is null or a.next_due_at > p_at);
  if found then
    insert into credits_private.due_accounts as d (user_id, due_at)
    values (p_user_id, p_at)
    on conflict (user_id) do update
    set due_at = excluded.due_at;
  end if;
end;
$$;

comment on function credits_private.due_by(uuid, timestamptz) is
  'Brings next_due_at of a locked balance forward to an instant, where it is later.';

revoke all on function credits_private.due_by(uuid, timestamptz) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/set_due.sql
-- set_due: works out anew when something of this user falls due next, and what the monthly grants come to.
--
-- The caller holds the lock of the balance. Called when what was due is written, and when grants or entitlements
-- change.

create or replace function credits_private.set_due(
  p_user_id uuid
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
  v_due pg_catalog.timestamptz := credits_private.next_end(p_user_id, '-infinity');
  v_monthly bigint;
begin
  select
    least(v_due, min(case when g.is_due then g.at else g.next_at end)),
    coalesce(sum(g.amount) filter (where g.period = 'month' and g.is_in_force), 0)::bigint
  into v_due, v_monthly
  from credits_private.find_grants(p_user_id, v_now) as g;
  update public.user_credits as a
  set
    next_due_at = v_due,
    monthly_bonus_credits = v_monthly
  where a.user_id = p_user_id
    and (a.next_due_at, a.monthly_bonus_credits) is distinct from (v_due, v_monthly);
  if not found then
    return;
  end if;
  if v_due is null then
    delete from credits_private.due_accounts as d where d.user_id = p_user_id;
  else
    insert into credits_private.due_accounts as d (user_id, due_at)
    values (p_user_id, v_due)
    on conflict (user_id) do update
    set due_at = excluded.due_at;
  end if;
end;
$$;

comment on function credits_private.set_due(uuid) is
  'Brings next_due_at and monthly_bonus_credits of a locked balance to what lots, holds and grants say.';

revoke all on function credits_private.set_due(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/unswept.sql
-- unswept: what has fallen due for a user by an instant and is not written, summed up.
--
-- What makes a balance right without a sweep: whoever shows one adds this. Lots count with what is in them and in
-- expired holds. Says what settle_due would write, and agrees with it because every operation settles before it
-- acts.

create or replace function credits_private.unswept(
  p_user_id uuid,
  p_at timestamptz
)
  returns credits_private.due_change
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_change credits_private.due_change;
begin
  select coalesce(sum(h.amount), 0)::bigint
  into v_change.freed
  from public.credit_holds as h
  where h.user_id = p_user_id and h.status = 'active' and h.expires_at <= p_at;
  select
    coalesce(sum(d.amount) filter (where d.is_first), 0)::bigint,
    max(d.at) filter (where d.is_first and d.period = 'month'),
    coalesce(sum(d.amount) filter (where d.period = 'month' and d.is_in_force), 0)::bigint,
    least(credits_private.next_end(p_user_id, p_at), min(d.next_at))
  into v_change.credits, v_change.bonus_at, v_change.monthly, v_change.next_at
  from (
    select g.*, g.is_due and row_number() over (partition by g.key, g.is_due order by g.at) = 1 as is_first
    from credits_private.find_grants(p_user_id, p_at) as g
  ) as d;
  select v_change.credits - coalesce(sum(l.remaining), 0)::bigint
  into v_change.credits
  from credits_private.credit_lots as l
  where l.user_id = p_user_id and l.expired_at is null and l.expires_at <= p_at;
  if v_change.freed > 0 then
    select v_change.credits - coalesce(sum(p.amount), 0)::bigint
    into v_change.credits
    from public.credit_holds as h
    join credits_private.hold_lots as p on p.user_id = h.user_id and p.hold_id = h.id
    join credits_private.credit_lots as l on l.user_id = p.user_id and l.seq = p.lot_seq
    where h.user_id = p_user_id and h.status = 'active' and h.expires_at <= p_at and l.expires_at <= p_at;
  end if;
  return v_change;
end;
$$;

comment on function credits_private.unswept(uuid, timestamptz) is
  'How the balance and the holds of a user move once everything that was due at an instant is written.';

revoke all on function credits_private.unswept(uuid, timestamptz) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/draw_lots.sql
-- draw_lots: takes credits from the lots of a user, soonest expiry first.
--
-- For a ledger row (p_seq), or for a hold. What the lots do not have comes from credits that never expire, which
-- nobody has to write down. The caller holds the lock, and has settled what was due: no lot here is past its
-- expiry.

create or replace function credits_private.draw_lots(
  p_user_id uuid,
  p_amount bigint,
  p_seq bigint,
  p_hold_id uuid
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_left bigint := p_amount;
  v_part bigint;
  v_lot_seq bigint;
begin
  while v_left > 0 loop
    update credits_private.credit_lots as l
    set remaining = l.remaining - least(v_left, l.remaining)
    from (
      select s.seq, s.remaining
      from credits_private.credit_lots as s
      where s.user_id = p_user_id and s.expired_at is null and s.remaining > 0
      order by s.expires_at, s.seq
      limit 1
    ) as f
    where l.user_id = p_user_id and l.seq = f.seq
    returning l.seq, f.remaining - l.remaining into v_lot_seq, v_part;
    exit when not found;
    if p_hold_id is null then
      insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
      values (p_user_id, p_seq, p_seq, v_lot_seq, -v_part);
    else
      insert into credits_private.hold_lots (user_id, hold_id, lot_seq, amount)
      values (p_user_id, p_hold_id, v_lot_seq, v_part);
    end if;
    v_left := v_left - v_part;
  end loop;
end;
$$;

comment on function credits_private.draw_lots(uuid, bigint, bigint, uuid) is
  'Takes up to p_amount credits from lots, for the ledger row p_seq or, where one is given, for a hold.';

revoke all on function credits_private.draw_lots(uuid, bigint, bigint, uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/cover_debt.sql
-- cover_debt: credits in lots pay a debt before anything else does.
--
-- Called after whatever may leave less than nothing of the credits that never expire: a clawback, an adjustment,
-- the capture of a hold, a refund or a grant while there is a debt. Takes from free lots first, soonest expiry
-- first, then from what active holds have of lots: the hold stays, and its capture makes the debt. So no lot has
-- credits while the rest is below zero.

create or replace function credits_private.cover_debt(
  p_user_id uuid,
  p_origin_seq bigint,
  p_seq bigint
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_debt bigint;
  v_part bigint;
  v_lot pg_catalog.record;
begin
  select (
    coalesce(
      (select sum(l.remaining) from credits_private.credit_lots as l where l.user_id = p_user_id and l.expired_at is null), 0
    )
    + coalesce((select sum(h.amount) from credits_private.hold_lots as h where h.user_id = p_user_id), 0)
    - a.credits_remaining
  )::bigint
  into v_debt
  from public.user_credits as a
  where a.user_id = p_user_id;
  if v_debt <= 0 then
    return;
  end if;
  for v_lot in
    select s.seq, s.hold_id, s.amount
    from (
      select l.seq, null::pg_catalog.uuid as hold_id, l.remaining as amount, l.expires_at, null::pg_catalog.timestamptz as held_at
      from credits_private.credit_lots as l
      where l.user_id = p_user_id and l.expired_at is null and l.remaining > 0
      union all
      select p.lot_seq, p.hold_id, p.amount, l.expires_at, h.created_at
      from credits_private.hold_lots as p
      join public.credit_holds as h on h.user_id = p.user_id and h.id = p.hold_id
      join credits_private.credit_lots as l on l.user_id = p.user_id and l.seq = p.lot_seq
      where p.user_id = p_user_id
    ) as s
    order by s.hold_id is not null, s.expires_at, s.seq, s.held_at, s.hold_id
  loop
    exit when v_debt <= 0;
    v_part := least(v_debt, v_lot.amount);
    if v_lot.hold_id is null then
      update credits_private.credit_lots as l
      set remaining = l.remaining - v_part
      where l.user_id = p_user_id and l.seq = v_lot.seq;
    elsif v_part < v_lot.amount then
      update credits_private.hold_lots as h
      set amount = h.amount - v_part
      where h.user_id = p_user_id and h.hold_id = v_lot.hold_id and h.lot_seq = v_lot.seq;
    else
      delete from credits_private.hold_lots as h
      where h.user_id = p_user_id and h.hold_id = v_lot.hold_id and h.lot_seq = v_lot.seq;
    end if;
    insert into credits_private.lot_allocations as t (user_id, origin_seq, seq, lot_seq, amount)
    values (p_user_id, p_origin_seq, p_seq, v_lot.seq, -v_part)
    on conflict (user_id, origin_seq, seq, lot_seq) do update
    set amount = t.amount + excluded.amount;
    v_debt := v_debt - v_part;
  end loop;
end;
$$;

comment on function credits_private.cover_debt(uuid, bigint, bigint) is
  'Takes from lots what the credits that never expire are below zero, for the ledger row p_seq.';

revoke all on function credits_private.cover_debt(uuid, bigint, bigint) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/expire_lots.sql
-- expire_lots: takes what is left in the lots that end by an instant, one ledger row a lot.
--
-- A row is dated when its credits were gone: at the end of the lot, or at p_from where they came back to it only
-- then (a refund, a hold that ended). One statement, so that the balance moves once for any number of lots. Never
-- makes a debt: no lot has credits while there is one (cover_debt).

create or replace function credits_private.expire_lots(
  p_user_id uuid,
  p_from timestamptz,
  p_until timestamptz,
  p_limit integer
)
  returns integer
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_rows integer;
begin
  with due as (
    select l.seq, l.remaining, l.expires_at, greatest(l.expires_at, p_from) as at
    from credits_private.credit_lots as l
    where l.user_id = p_user_id and l.expired_at is null and l.expires_at <= p_until
    order by l.expires_at, l.seq
    limit p_limit
  ),
  closed as (
    update credits_private.credit_lots as l
    set remaining = 0, expired_at = d.at
    from due as d
    where l.user_id = p_user_id and l.seq = d.seq
  ),
  entries as (
    select d.seq as lot_seq, d.remaining as amount, d.at, row_number() over w as place, sum(d.remaining) over w as total
    from due as d
    where d.remaining > 0
    window w as (order by d.expires_at, d.seq)
  ),
  moved as (
    update public.user_credits as a
    set
      credits_remaining = a.credits_remaining - s.total,
      total_credits = a.total_credits - s.total,
      last_seq = a.last_seq + s.places,
      updated_at = s.at
    from (
      select count(*) as places, sum(e.amount)::bigint as total, max(e.at) as at
      from entries as e
      having count(*) > 0
    ) as s
    where a.user_id = p_user_id
    returning a.last_seq - s.places as last_seq, a.credits_remaining + s.total as balance
  ),
  posted as (
    insert into public.credit_transactions (
      user_id, seq, amount, balance_after, created_at, type, description, metadata
    )
    select
      p_user_id, m.last_seq + e.place, -e.amount, m.balance - e.total, e.at, 'expiration', 'Credits expired',
      jsonb_build_object('lot', e.lot_seq)
    from moved as m
    cross join entries as e
  )
  insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
  select p_user_id, m.last_seq + e.place, m.last_seq + e.place, e.lot_seq, -e.amount
  from moved as m
  cross join entries as e;
  get diagnostics v_rows = row_count;
  return v_rows;
end;
$$;

comment on function credits_private.expire_lots(uuid, timestamptz, timestamptz, integer) is
  'Writes the expiry of lots that end by p_until, at most p_limit of them (null for all), dated no earlier than p_from, and returns how many ledger rows that took.';

revoke all on function credits_private.expire_lots(uuid, timestamptz, timestamptz, integer)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/make_lot.sql
-- make_lot: the credits of a ledger row just posted will expire.
--
-- What the user owed is paid from them first. The caller holds the lock of the balance.

create or replace function credits_private.make_lot(
  p_row public.credit_transactions,
  p_expires_at timestamptz
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  insert into credits_private.credit_lots (user_id, seq, granted, remaining, expires_at)
  values (p_row.user_id, p_row.seq, p_row.amount, p_row.amount, p_expires_at);
  if p_row.balance_after < p_row.amount then
    perform credits_private.cover_debt(p_row.user_id, 0, p_row.seq);
  end if;
  perform credits_private.due_by(p_row.user_id, p_expires_at);
end;
$$;

comment on function credits_private.make_lot(public.credit_transactions, timestamptz) is
  'Makes a lot of the credits of a grant. Raises PT422 expiry_not_allowed.';

revoke all on function credits_private.make_lot(public.credit_transactions, timestamptz)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/give_back.sql
-- give_back: returns credits to where a movement took them from, under their own expiry.
--
-- For a refund, with its consumption as origin, and for a clawback that is reversed, with the purchase. In the
-- reverse order of taking: what came from credits that never expire first, then the lot that ends last; so a part
-- given back leaves what a smaller movement would have left. A debt is paid from it, and what has expired meanwhile
-- expires again, with a ledger row.

create or replace function credits_private.give_back(
  p_user_id uuid,
  p_origin_seq bigint,
  p_seq bigint,
  p_amount bigint,
  p_taken bigint,
  p_at timestamptz
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_left bigint := p_amount;
  v_part bigint;
  v_lot pg_catalog.record;
begin
  select p_taken - coalesce(sum(-t.amount), 0)::bigint
  into v_part
  from credits_private.lot_allocations as t
  where t.user_id = p_user_id and t.origin_seq = p_origin_seq and t.lot_seq <> 0;
  v_part := least(v_left, greatest(v_part, 0));
  if v_part > 0 then
    insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
    values (p_user_id, p_origin_seq, p_seq, 0, v_part);
    v_left := v_left - v_part;
  end if;
  for v_lot in
    select l.seq, l.expires_at, -sum(t.amount)::bigint as taken
    from credits_private.lot_allocations as t
    join credits_private.credit_lots as l on l.user_id = t.user_id and l.seq = t.lot_seq
    where t.user_id = p_user_id and t.origin_seq = p_origin_seq and t.lot_seq <> 0
    group by l.seq, l.expires_at
    having sum(t.amount) < 0
    order by l.expires_at desc, l.seq desc
  loop
    exit when v_left = 0;
    v_part := least(v_left, v_lot.taken);
    insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
    values (p_user_id, p_origin_seq, p_seq, v_lot.seq, v_part);
    update credits_private.credit_lots as l
    set remaining = l.remaining + v_part, expired_at = null
    where l.user_id = p_user_id and l.seq = v_lot.seq;
    if v_lot.expires_at > p_at then
      perform credits_private.due_by(p_user_id, v_lot.expires_at);
    end if;
    v_left := v_left - v_part;
  end loop;
  perform credits_private.cover_debt(p_user_id, p_seq, p_seq);
  perform credits_private.expire_lots(p_user_id, p_at, p_at, null);
end;
$$;

comment on function credits_private.give_back(uuid, bigint, bigint, bigint, bigint, timestamptz) is
  'Returns p_amount of the p_taken credits that a movement still has, into their lots, for the ledger row p_seq.';

revoke all on function credits_private.give_back(uuid, bigint, bigint, bigint, bigint, timestamptz)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/end_hold.sql
-- end_hold: an active hold is captured, released or expired; its credits go where they belong.
--
-- What was captured takes its part of the lots that the hold had, soonest expiry first; the rest goes back to them.
-- The caller holds the lock of the balance, and has what expired meanwhile expire next (expire_lots).

create or replace function credits_private.end_hold(
  p_hold public.credit_holds,
  p_status public.credit_hold_status,
  p_at timestamptz,
  p_capture public.credit_transactions
)
  returns public.credit_holds
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_hold public.credit_holds;
  v_left bigint := coalesce(-p_capture.amount, 0);
  v_part bigint;
  v_lot pg_catalog.record;
begin
  update public.user_credits as a
  set credits_held = a.credits_held - p_hold.amount
  where a.user_id = p_hold.user_id;
  for v_lot in
    select h.lot_seq, h.amount, l.expires_at
    from credits_private.hold_lots as h
    join credits_private.credit_lots as l on l.user_id = h.user_id and l.seq = h.lot_seq
    where h.user_id = p_hold.user_id and h.hold_id = p_hold.id
    order by l.expires_at, l.seq
  loop
    v_part := least(v_left, v_lot.amount);
    if v_part > 0 then
      insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
      values (p_hold.user_id, p_capture.seq, p_capture.seq, v_lot.lot_seq, -v_part);
      v_left := v_left - v_part;
    end if;
    if v_part < v_lot.amount then
      update credits_private.credit_lots as l
      set remaining = l.remaining + v_lot.amount - v_part, expired_at = null
      where l.user_id = p_hold.user_id and l.seq = v_lot.lot_seq;
      if v_lot.expires_at > p_at then
        perform credits_private.due_by(p_hold.user_id, v_lot.expires_at);
      end if;
    end if;
  end loop;
  delete from credits_private.hold_lots as h where h.user_id = p_hold.user_id and h.hold_id = p_hold.id;
  update public.credit_holds as h
  set
    status = p_status,
    captured_amount = -p_capture.amount,
    seq = p_capture.seq,
    ended_at = p_at
  where h.user_id = p_hold.user_id and h.id = p_hold.id
  returning h.* into v_hold;
  return v_hold;
end;
$$;

comment on function credits_private.end_hold(public.credit_holds, public.credit_hold_status, timestamptz, public.credit_transactions) is
  'Ends an active hold and returns it; p_capture is its ledger row, or null for one that is not captured.';

revoke all on function credits_private.end_hold(public.credit_holds, public.credit_hold_status, timestamptz, public.credit_transactions)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/settle_due.sql
-- settle_due: writes what has fallen due for a user, in the order in which it did.
--
-- Lots expire, holds go free, recurring grants come, each dated at its own instant, so that the ledger reads as if
-- somebody had been there in time. Called under the lock of the balance, by maintenance and by every operation that
-- finds next_due_at in the past. Safe to stop after any number: what is left stays due.

create or replace function credits_private.settle_due(
  p_user_id uuid,
  p_limit integer
)
  returns public.maintenance_report
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
  v_from pg_catalog.timestamptz := '-infinity'::pg_catalog.timestamptz;
  v_at pg_catalog.timestamptz;
  v_report public.maintenance_report := row(0, 0, 1, 0, 0, 0);
  v_hold public.credit_holds;
  v_grant credits_private.due_grant;
  v_row public.credit_transactions;
  v_has_grants boolean;
begin
  -- a sweep of many balances need not ask each of them three times (find_grants)
  select exists (
    select
    from credits_private.recurring_grants as g
    where g.user_id in (p_user_id, '00000000-0000-0000-0000-000000000000')
  )
  into v_has_grants;
  loop
    select h.* into v_hold
    from public.credit_holds as h
    where h.user_id = p_user_id and h.status = 'active' and h.expires_at <= v_now
    order by h.expires_at, h.created_at, h.id
    limit 1;
    if v_has_grants then
      select g.* into v_grant
      from credits_private.find_grants(p_user_id, v_now) as g
      where g.is_due
      order by g.at, g.key
      limit 1;
    end if;
    if v_grant.key is not null then
      -- a holder who was told late (tell_holders) has spent since: rows stay in the order of their dates
      v_grant.at := coalesce(
        (
          select a.updated_at
          from public.user_credits as a
          where a.user_id = p_user_id and a.updated_at > v_grant.at and a.updated_at <= v_now
        ),
        v_grant.at
      );
    end if;
    v_at := least(v_hold.expires_at, v_grant.at, v_now);
    v_report.expirations := v_report.expirations + credits_private.expire_lots(
      p_user_id,
      v_from,
      v_at,
      case
        when p_limit is not null
          then greatest(0, p_limit - v_report.expirations - v_report.holds - v_report.grants)
      end
    );
    exit when v_hold.id is null and v_grant.key is null;
    exit when v_report.expirations + v_report.holds + v_report.grants >= p_limit or p_limit is not null and exists (
      select
      from credits_private.credit_lots as l
      where l.user_id = p_user_id and l.expired_at is null and l.expires_at <= v_at
    );
    if v_grant.key is null or v_hold.expires_at <= v_grant.at then
      perform credits_private.end_hold(v_hold, 'expired', v_at, null);
      v_report.holds := v_report.holds + 1;
      v_report.expirations := v_report.expirations + credits_private.expire_lots(p_user_id, v_at, v_at, null);
    else
      v_row := credits_private.post(
        p_user_id,
        case v_grant.period when 'month' then 'monthly_bonus' else 'bonus' end::public.credit_transaction_type,
        v_grant.amount,
        'Recurring grant ' || v_grant.name,
        jsonb_build_object('grant', v_grant.name, 'period', v_grant.period),
        v_grant.key,
        v_at
      );
      if v_grant.expires_at is not null then
        perform credits_private.make_lot(v_row, v_grant.expires_at);
      end if;
      v_report.grants := v_report.grants + 1;
    end if;
    v_from := v_at;
  end loop;
  perform credits_private.set_due(p_user_id);
  return v_report;
end;
$$;

comment on function credits_private.settle_due(uuid, integer) is
  'Writes what is due for a locked balance, at most so many items of it (null for all), and says what. Raises PT422 balance_limit.';

revoke all on function credits_private.settle_due(uuid, integer) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/settle_account.sql
-- settle_account: the locked balance as it is now, with everything that has fallen due written.
--
-- The step between looking for a replay, which must find things as they were, and deciding anything. Whoever is
-- about to refuse an amount says which: then grants are looked for in any case, since a holder may not have been
-- told yet (tell_holders).

create or replace function credits_private.settle_account(
  p_user_id uuid,
  p_amount bigint default 0
)
  returns public.user_credits
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
begin
  select a.* into v_account from public.user_credits as a where a.user_id = p_user_id;
  if v_account.next_due_at <= credits_private.now()
    or v_account.credits_remaining - v_account.credits_held < p_amount
  then
    perform credits_private.settle_due(p_user_id, null);
    select a.* into v_account from public.user_credits as a where a.user_id = p_user_id;
  end if;
  return v_account;
end;
$$;

comment on function credits_private.settle_account(uuid, bigint) is
  'Writes what is due for a locked balance and returns it.';

revoke all on function credits_private.settle_account(uuid, bigint) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/spend.sql
-- spend: the engine of consume_credit, and the hottest path of all.
--
-- Two writes for a spend that succeeds: the balance is taken and numbered in one update, which is also the lock,
-- and the ledger row is inserted. What the update passes over (a key that is there already, too few credits, no
-- account) is decided under the lock of lock_account, so a replay writes nothing. Whether the key is unused is a
-- condition of the update: asked again whenever it had to wait, it holds under the lock (is_unused). Who has
-- something due (next_due_at) settles it first; who has lots pays from them, and the row is dated before their end.

create or replace function credits_private.spend(
  p_user_id uuid,
  p_amount bigint,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text
)
  returns public.credit_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_seq bigint;
  v_balance bigint;
  v_now pg_catalog.timestamptz;
  v_due pg_catalog.timestamptz;
  v_alert bigint;
  v_account public.user_credits;
  v_row public.credit_transactions;
begin
  -- the ordinary call passes on one expression; check_entry says what is wrong with any other
  if (
    p_amount between 1 and 1000000000000
    and p_metadata = '{}'
    and (p_idempotency_key is null or length(p_idempotency_key) between 1 and 255 and not starts_with(p_idempotency_key, 'credits:'))
    and (p_description is null or length(p_description) <= 500)
  ) is not true then
    perform credits_private.check_entry(p_amount, p_description, p_metadata, p_idempotency_key);
  end if;

  loop
    update public.user_credits as a
    set
      credits_remaining = a.credits_remaining - p_amount,
      used_credits = a.used_credits + p_amount,
      last_seq = a.last_seq + 1,
      updated_at = least(credits_private.now(), a.next_due_at - pg_catalog.interval '1 microsecond')
    where a.user_id = p_user_id
      and a.credits_remaining - a.credits_held >= p_amount
      and (a.next_due_at is null or a.next_due_at > credits_private.now())
      and (
        p_idempotency_key is null
        or credits_private.is_unused(p_user_id, p_idempotency_key, a.last_hold_at is not null)
      )
    returning a.last_seq, a.credits_remaining, a.updated_at, a.next_due_at, a.alert_below
    into v_seq, v_balance, v_now, v_due, v_alert;
    exit when found;

    perform credits_private.lock_account(p_user_id);
    v_row := credits_private.find_replay(
      p_user_id, 'consumption', -p_amount, p_description, p_metadata, p_idempotency_key
    );
    if v_row.seq is not null then
      return v_row;
    end if;
    v_account := credits_private.settle_account(p_user_id, p_amount);
    if v_account.credits_remaining - v_account.credits_held < p_amount then
      perform credits_private.refuse_spend(v_account, p_amount);
    end if;
  end loop;

  insert into public.credit_transactions as t (
    user_id, seq, amount, balance_after, created_at, type, idempotency_key, description, metadata
  )
  values (
    p_user_id, v_seq, -p_amount, v_balance, v_now, 'consumption', p_idempotency_key, p_description, p_metadata
  )
  returning t.* into v_row;
  if v_due is not null then
    perform credits_private.draw_lots(p_user_id, p_amount, v_seq, null);
  end if;
  if v_alert > v_balance and v_alert <= v_balance + p_amount then
    perform credits_private.queue_alert(p_user_id, v_alert, v_balance, v_seq, v_now);
  end if;
  return v_row;
end;
$$;

comment on function credits_private.spend(uuid, bigint, text, jsonb, text) is
  'Takes credits and returns the ledger row. Raises PT402 insufficient_credits, PT404 account_not_found, PT422 idempotency_key_reused and 22023 like check_entry.';

revoke all on function credits_private.spend(uuid, bigint, text, jsonb, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/add_credits.sql
-- add_credits: the engine of add_credits_for.
--
-- Lock, look for the key, post: in that order, so that a replay moves nothing and two calls with one key cannot
-- both post. With an expiry the credits are a lot, which is part of what the key means. Only money in: refund and
-- clawback_reversal give back something that was taken and have operations of their own.

create or replace function credits_private.add_credits(
  p_user_id uuid,
  p_amount bigint,
  p_type public.credit_transaction_type,
  p_expires_at timestamptz,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text
)
  returns public.credit_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_row public.credit_transactions;
begin
  perform credits_private.check_entry(p_amount, p_description, p_metadata, p_idempotency_key);
  if (p_type in ('purchase', 'signup_bonus', 'monthly_bonus', 'bonus', 'admin_adjustment')) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'type', 'value', p_type),
      hint = 'Credits are added as purchase, bonus, signup_bonus, monthly_bonus or admin_adjustment.';
  end if;
  perform credits_private.lock_account(p_user_id);
  v_row := credits_private.find_replay(
    p_user_id, p_type, p_amount, p_description, p_metadata, p_idempotency_key
  );
  if v_row.seq is not null then
    if (
      select l.expires_at from credits_private.credit_lots as l where l.user_id = p_user_id and l.seq = v_row.seq
    ) is distinct from p_expires_at then
      perform credits_private.refuse_key(p_idempotency_key, v_row.seq);
    end if;
    return v_row;
  end if;
  if p_expires_at <= credits_private.now() or p_expires_at = 'infinity' then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'expires_at', 'value', p_expires_at),
      hint = 'Credits expire at an instant to come; leave expires_at out for credits that never do.';
  end if;
  perform credits_private.settle_account(p_user_id);
  v_row := credits_private.post(p_user_id, p_type, p_amount, p_description, p_metadata, p_idempotency_key);
  if p_expires_at is not null then
    perform credits_private.make_lot(v_row, p_expires_at);
  end if;
  return v_row;
end;
$$;

comment on function credits_private.add_credits(
  uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text
) is
  'Adds credits and returns the ledger row. Raises PT404 account_not_found, PT422 idempotency_key_reused, expiry_not_allowed or balance_limit, and 22023.';

revoke all on function credits_private.add_credits(
  uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text
) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refund_consumption.sql
-- refund_consumption: the engine of refund_consumption_for.
--
-- How much was given back of a consumption stands in lot_allocations, under its seq as origin; nothing is given
-- back beyond that. Only what was spent can be: a refund, a purchase or a row of somebody else is no consumption of
-- this user.

create or replace function credits_private.refund_consumption(
  p_user_id uuid,
  p_seq bigint,
  p_amount bigint,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text
)
  returns public.credit_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_row public.credit_transactions;
  v_taken bigint;
begin
  perform credits_private.check_entry(coalesce(p_amount, 1), p_description, p_metadata, p_idempotency_key);
  perform credits_private.lock_account(p_user_id);
  v_row := credits_private.find_replay(
    p_user_id, 'refund', p_amount, p_description, p_metadata, p_idempotency_key, null
  );
  if v_row.seq is not null then
    -- of this consumption; and all that was left is what left nothing
    if not exists (
      select
      from credits_private.lot_allocations as t
      where t.user_id = p_user_id and t.origin_seq = p_seq and t.seq = v_row.seq
    )
      or p_amount is null
      and (
        select sum(t.amount)
        from credits_private.lot_allocations as t
        where t.user_id = p_user_id and t.origin_seq = p_seq and t.seq <> p_seq and t.seq <= v_row.seq
      ) < (
        select -c.amount from public.credit_transactions as c where c.user_id = p_user_id and c.seq = p_seq
      )
    then
      perform credits_private.refuse_key(p_idempotency_key, v_row.seq);
    end if;
    return v_row;
  end if;
  select -t.amount
  into v_taken
  from public.credit_transactions as t
  where t.user_id = p_user_id and t.seq = p_seq and t.type = 'consumption';
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'transaction_not_found',
      detail = json_build_object('seq', p_seq),
      hint = 'This user has no consumption with this number; only a consumption can be given back.';
  end if;
  select v_taken - coalesce(sum(t.amount), 0)::bigint
  into v_taken
  from credits_private.lot_allocations as t
  where t.user_id = p_user_id and t.origin_seq = p_seq and t.seq <> p_seq;
  if v_taken = 0 or p_amount > v_taken then
    raise exception using
      errcode = 'PT409',
      message = 'refund_exceeds_consumption',
      detail = json_build_object('amount', p_amount, 'refundable', v_taken),
      hint = 'No more can be given back than is left of the consumption.';
  end if;
  perform credits_private.settle_account(p_user_id);
  v_row := credits_private.post(
    p_user_id, 'refund', coalesce(p_amount, v_taken), p_description, p_metadata, p_idempotency_key
  );
  perform credits_private.give_back(p_user_id, p_seq, v_row.seq, v_row.amount, v_taken, v_row.created_at);
  return v_row;
end;
$$;

comment on function credits_private.refund_consumption(uuid, bigint, bigint, text, jsonb, text) is
  'Gives back a consumption, whole or in part, and returns the ledger row. Raises PT404 transaction_not_found or account_not_found, PT409 refund_exceeds_consumption, PT422 idempotency_key_reused or balance_limit, and 22023.';

revoke all on function credits_private.refund_consumption(uuid, bigint, bigint, text, jsonb, text)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/reserve_credits.sql
-- reserve_credits: the engine of reserve_credits_for.
--
-- Lock, look for the key, settle, decide: as everywhere. The balance stays as it is and credits_held grows; the
-- lots are taken now, soonest expiry first, so that none can expire under the work. A replay tells of a hold that
-- has expired, and writes nothing.

create or replace function credits_private.reserve_credits(
  p_user_id uuid,
  p_amount bigint,
  p_expires_in interval,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text
)
  returns public.credit_holds
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_hold public.credit_holds;
  v_seq bigint;
  v_active bigint;
  v_maximum bigint;
  v_now pg_catalog.timestamptz;
begin
  perform credits_private.check_entry(p_amount, p_description, p_metadata, p_idempotency_key);
  if not credits_private.lasts_between(p_expires_in, '1 second', '30 days') then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'expires_in', 'value', p_expires_in),
      hint = 'A hold lasts from 1 second to 30 days.';
  end if;
  perform credits_private.lock_account(p_user_id);
  select h.* into v_hold
  from public.credit_holds as h
  where h.user_id = p_user_id and h.idempotency_key = p_idempotency_key;
  if found then
    if (v_hold.amount, v_hold.expires_at, v_hold.description, v_hold.metadata) is distinct from (
      p_amount, credits_private.in_utc(v_hold.created_at, p_expires_in), p_description, p_metadata
    ) then
      perform credits_private.refuse_key(p_idempotency_key, null);
    end if;
    if v_hold.status = 'active' and v_hold.expires_at <= credits_private.now() then
      v_hold.status := 'expired';
      v_hold.ended_at := v_hold.expires_at;
    end if;
    return v_hold;
  end if;
  select t.seq into v_seq
  from public.credit_transactions as t
  where t.user_id = p_user_id and t.idempotency_key = p_idempotency_key;
  if found then
    perform credits_private.refuse_key(p_idempotency_key, v_seq);
  end if;
  v_account := credits_private.settle_account(p_user_id, p_amount);
  if v_account.credits_remaining - v_account.credits_held < p_amount then
    perform credits_private.refuse_spend(v_account, p_amount);
  end if;
  select count(*) into v_active from public.credit_holds as h where h.user_id = p_user_id and h.status = 'active';
  select s.value::bigint into v_maximum from credits_private.settings as s where s.name = 'max_active_holds';
  if v_active >= v_maximum then
    raise exception using
      errcode = 'PT429',
      message = 'too_many_holds',
      detail = json_build_object('active', v_active, 'maximum', v_maximum),
      hint = 'Capture or release holds first, or wait until one expires.';
  end if;
  v_hold := null;
  v_now := credits_private.now();
  insert into public.credit_holds as h (user_id, amount, expires_at, created_at, description, metadata, idempotency_key)
  values (
    p_user_id, p_amount, credits_private.in_utc(v_now, p_expires_in), v_now, p_description, p_metadata, p_idempotency_key
  )
  returning h.* into v_hold;
  update public.user_credits as a
  set credits_held = a.credits_held + p_amount, last_hold_at = v_now
  where a.user_id = p_user_id;
  if v_account.next_due_at is not null then
    perform credits_private.draw_lots(p_user_id, p_amount, null, v_hold.id);
  end if;
  perform credits_private.due_by(p_user_id, v_hold.expires_at);
  return v_hold;
end;
$$;

comment on function credits_private.reserve_credits(uuid, bigint, interval, text, jsonb, text) is
  'Sets credits aside and returns the hold. Raises PT402 insufficient_credits, PT404 account_not_found, PT422 idempotency_key_reused, PT429 too_many_holds and 22023.';

revoke all on function credits_private.reserve_credits(uuid, bigint, interval, text, jsonb, text)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/find_hold.sql
-- find_hold: a hold of a user. Absent and somebody else's answer alike.

create or replace function credits_private.find_hold(
  p_user_id uuid,
  p_hold_id uuid
)
  returns public.credit_holds
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_hold public.credit_holds;
begin
  select h.* into v_hold from public.credit_holds as h where h.user_id = p_user_id and h.id = p_hold_id;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'hold_not_found',
      detail = json_build_object('hold_id', p_hold_id),
      hint = 'This user has no such hold.';
  end if;
  return v_hold;
end;
$$;

comment on function credits_private.find_hold(uuid, uuid) is
  'The hold of a user with this id. Raises PT404 hold_not_found.';

revoke all on function credits_private.find_hold(uuid, uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refuse_hold.sql
-- refuse_hold: the one wording of "this hold has ended".

create or replace function credits_private.refuse_hold(
  p_hold public.credit_holds
)
  returns void
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  raise exception using
    errcode = 'PT409',
    message = 'hold_not_active',
    detail = json_build_object('hold_id', p_hold.id, 'state', p_hold.status),
    hint = 'A hold is captured or released once, while it is active.';
end;
$$;

comment on function credits_private.refuse_hold(public.credit_holds) is
  'Raises PT409 hold_not_active with the state of the hold; always.';

revoke all on function credits_private.refuse_hold(public.credit_holds) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/capture_hold.sql
-- capture_hold: the engine of capture_hold_for.
--
-- The credits were set aside, so they are taken even where a clawback has taken the balance meanwhile: that is
-- debt. What is not captured goes free. The key decides whether this is the capture that was made already; a call
-- without one means the hold itself, and the same call again is the same capture.

create or replace function credits_private.capture_hold(
  p_user_id uuid,
  p_hold_id uuid,
  p_amount bigint,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text
)
  returns public.credit_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_hold public.credit_holds;
  v_row public.credit_transactions;
  -- one of our own, which no user can have taken before
  v_key pg_catalog.text := coalesce(p_idempotency_key, 'credits:capture:' || p_hold_id);
begin
  perform credits_private.check_entry(coalesce(p_amount, 1), p_description, p_metadata, p_idempotency_key);
  perform credits_private.lock_account(p_user_id);
  v_hold := credits_private.find_hold(p_user_id, p_hold_id);
  if p_idempotency_key is null then
    select t.* into v_row
    from public.credit_transactions as t
    where t.user_id = p_user_id
      and t.idempotency_key = v_key
      and (t.amount, t.description, t.metadata)
        is not distinct from (-coalesce(p_amount, v_hold.amount), p_description, p_metadata);
  else
    v_row := credits_private.find_replay(
      p_user_id, 'consumption', -coalesce(p_amount, v_hold.amount), p_description, p_metadata, v_key, p_hold_id
    );
  end if;
  if v_row.seq is not null then
    return v_row;
  end if;
  perform credits_private.settle_account(p_user_id);
  v_hold := credits_private.find_hold(p_user_id, p_hold_id);
  if v_hold.status <> 'active' then
    perform credits_private.refuse_hold(v_hold);
  end if;
  if p_amount > v_hold.amount then
    raise exception using
      errcode = '22023',
      message = 'invalid_amount',
      detail = json_build_object('amount', p_amount, 'held', v_hold.amount),
      hint = 'No more can be captured than is held.';
  end if;
  v_row := credits_private.post(
    p_user_id, 'consumption', -coalesce(p_amount, v_hold.amount), p_description, p_metadata, v_key, null, true
  );
  perform credits_private.end_hold(v_hold, 'captured', v_row.created_at, v_row);
  perform credits_private.cover_debt(p_user_id, v_row.seq, v_row.seq);
  perform credits_private.expire_lots(p_user_id, v_row.created_at, v_row.created_at, null);
  return v_row;
end;
$$;

comment on function credits_private.capture_hold(uuid, uuid, bigint, text, jsonb, text) is
  'Spends a hold, whole or in part, and returns the ledger row. Raises PT404 hold_not_found or account_not_found, PT409 hold_not_active, PT422 idempotency_key_reused and 22023.';

revoke all on function credits_private.capture_hold(uuid, uuid, bigint, text, jsonb, text)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/release_hold.sql
-- release_hold: the engine of release_hold_for.
--
-- Giving back what is free already is no error: a job that failed late need not know whether time was faster.

create or replace function credits_private.release_hold(
  p_user_id uuid,
  p_hold_id uuid
)
  returns public.credit_holds
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_hold public.credit_holds;
begin
  perform credits_private.lock_account(p_user_id);
  v_hold := credits_private.find_hold(p_user_id, p_hold_id);
  if v_hold.status = 'active' then
    v_account := credits_private.settle_account(p_user_id);
    v_hold := credits_private.find_hold(p_user_id, p_hold_id);
    if v_hold.status = 'active' then
      v_hold := credits_private.end_hold(
        v_hold,
        'released',
        least(credits_private.now(), v_account.next_due_at - pg_catalog.interval '1 microsecond'),
        null
      );
      perform credits_private.expire_lots(p_user_id, v_hold.ended_at, v_hold.ended_at, null);
    end if;
  elsif v_hold.status = 'captured' then
    perform credits_private.refuse_hold(v_hold);
  end if;
  return v_hold;
end;
$$;

comment on function credits_private.release_hold(uuid, uuid) is
  'Gives a hold back and returns it. Raises PT404 hold_not_found or account_not_found, and PT409 hold_not_active where it was captured.';

revoke all on function credits_private.release_hold(uuid, uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/show_grant.sql
-- show_grant: a recurring grant as the API answers it.

create or replace function credits_private.show_grant(
  p_grant credits_private.recurring_grants
)
  returns public.recurring_grant
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return row(
    case when p_grant.entitlement is null then p_grant.user_id end,
    p_grant.name, p_grant.entitlement, p_grant.amount, p_grant.period, p_grant.rollover, p_grant.starts_at, p_grant.ends_at
  )::public.recurring_grant;
end;
$$;

comment on function credits_private.show_grant(credits_private.recurring_grants) is
  'A recurring grant as set_recurring_grant answers it.';

revoke all on function credits_private.show_grant(credits_private.recurring_grants)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/tell_holders.sql
-- tell_holders: sees that those who hold an entitlement get a new recurring grant with their next spend.
--
-- A batch of holders for each grant that has not come to its end yet, in the order of their ids, from where the
-- last batch ended. Never waits for a balance: who is busy just now is told by the next call.

create or replace function credits_private.tell_holders(
  p_limit integer
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
  v_grant credits_private.recurring_grants;
  v_holders pg_catalog.uuid[];
  v_locked pg_catalog.uuid[];
  v_busy pg_catalog.uuid;
begin
  for v_grant in
    select g.*
    from credits_private.recurring_grants as g
    where g.user_id = '00000000-0000-0000-0000-000000000000' and g.told_to is not null
    order by g.name, g.starts_at
    for update skip locked
  loop
    v_holders := array(
      select e.user_id
      from public.user_entitlements as e
      where e.entitlement = v_grant.entitlement and e.user_id > v_grant.told_to
      order by e.user_id
      limit p_limit
    );
    v_locked := array(
      select a.user_id
      from public.user_credits as a
      where a.user_id = any (v_holders)
      for no key update skip locked
    );
    with told as (
      update public.user_credits as a
      -- also where it was due before: an operation with an older snapshot, which does not see the grant, fails (40001)
      set next_due_at = least(a.next_due_at, v_now)
      where a.user_id = any (v_locked)
      returning a.user_id, a.next_due_at
    )
    insert into credits_private.due_accounts as d (user_id, due_at)
    select t.user_id, t.next_due_at
    from told as t
    on conflict (user_id) do update
    set due_at = excluded.due_at;
    -- whoever is busy just now is told next time, and so is everybody after them
    select h.id into v_busy
    from unnest(v_holders) as h (id)
    join public.user_credits as a on a.user_id = h.id
    left join unnest(v_locked) as l (id) on l.id = h.id
    where l.id is null
    order by h.id
    limit 1;
    update credits_private.recurring_grants as g
    set told_to = case
      when v_busy is not null then coalesce(
        (select h.id from unnest(v_holders) as h (id) where h.id < v_busy order by h.id desc limit 1), g.told_to
      )
      when cardinality(v_holders) = p_limit then v_holders[p_limit]
    end
    where g.user_id = v_grant.user_id and g.name = v_grant.name and g.starts_at = v_grant.starts_at;
  end loop;
end;
$$;

comment on function credits_private.tell_holders(integer) is
  'Puts new grants of an entitlement into next_due_at of its holders, at most p_limit of them each (null for all).';

revoke all on function credits_private.tell_holders(integer) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/erase_account.sql
-- erase_account: removes a user whole, in one transaction.
--
-- Locks the user, then the balance: the order of a deletion in auth.users, of a sign-up and of lock_account, so a spend
-- beside it came before or finds no account. (A transaction with two plain spends of one user looks at the user again,
-- for the foreign key, and may so meet a deletion in a deadlock; Postgres ends one of the two.)
-- Deleting the auth user does the rest: the balance goes by its foreign key, ledger and purchases with the balance.
-- Called again it removes nothing and answers with a receipt of zeros.

create or replace function credits_private.erase_account(p_user_id uuid)
  returns public.account_deletion
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_transactions bigint := 0::bigint;
  v_purchases bigint := 0::bigint;
  v_entitlements bigint := 0::bigint;
  v_holds bigint := 0::bigint;
  v_accounts bigint := 0::bigint;
  v_users bigint := 0::bigint;
  v_receipt public.account_deletion;
begin
  if p_user_id is null then
    raise exception using
      errcode = 'PT401',
      message = 'not_authenticated',
      detail = '{}',
      hint = 'The user id is null: nobody is signed in.';
  end if;
  perform from auth.users as u where u.id = p_user_id for update;
  if found then
    perform from public.user_credits as a where a.user_id = p_user_id for update;
    get diagnostics v_accounts = row_count;
    if found then
      v_account := credits_private.read_account(p_user_id);
    end if;
    select count(*) into v_transactions from public.credit_transactions as t where t.user_id = p_user_id;
    select count(*) into v_purchases from public.purchase_transactions as p where p.user_id = p_user_id;
    select count(*) into v_entitlements from public.user_entitlements as e where e.user_id = p_user_id;
    select count(*) into v_holds from public.credit_holds as h where h.user_id = p_user_id;
    delete from auth.users as u where u.id = p_user_id;
    get diagnostics v_users = row_count;
  end if;
  v_receipt.user_id := p_user_id;
  v_receipt.deleted_at := credits_private.now();
  v_receipt.credits_written_off := coalesce(v_account.credits_remaining, 0);
  v_receipt.removed := jsonb_build_object(
    'auth.users', v_users,
    'public.user_credits', v_accounts,
    'public.credit_transactions', v_transactions,
    'public.credit_holds', v_holds,
    'public.purchase_transactions', v_purchases,
    'public.user_entitlements', v_entitlements
  );
  return v_receipt;
end;
$$;

comment on function credits_private.erase_account(uuid) is
  'Deletes a user with balance and ledger, and returns the receipt. Raises PT401 not_authenticated for null.';

revoke all on function credits_private.erase_account(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/read_account.sql
-- read_account: the balance as it is now, without writing.
--
-- A user whose account is not open yet is shown what opening it would give, so that an app which asks
-- before it spends does not turn a newcomer away. What has fallen due is counted, whether or not anybody wrote it.

create or replace function credits_private.read_account(p_user_id uuid)
  returns public.user_credits
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_change credits_private.due_change;
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  select a.* into v_account from public.user_credits as a where a.user_id = p_user_id;
  if not found then
    v_account.user_id := p_user_id;
    v_account.credits_remaining := credits_private.signup_bonus_for(p_user_id);
    v_account.credits_held := 0;
    v_account.total_credits := v_account.credits_remaining;
    v_account.used_credits := 0;
    v_account.monthly_bonus_credits := 0;
    v_account.last_seq := 0;
    v_account.created_at := v_now;
    v_account.updated_at := v_account.created_at;
  elsif v_account.next_due_at <= v_now or v_account.monthly_bonus_credits > 0 then
    v_change := credits_private.unswept(p_user_id, v_now);
    v_account.credits_remaining := v_account.credits_remaining + v_change.credits;
    v_account.total_credits := v_account.total_credits + v_change.credits;
    v_account.credits_held := v_account.credits_held - v_change.freed;
    v_account.last_bonus_date := coalesce(v_change.bonus_at, v_account.last_bonus_date);
    v_account.monthly_bonus_credits := v_change.monthly;
    v_account.next_due_at := v_change.next_at;
  end if;
  return v_account;
end;
$$;

comment on function credits_private.read_account(uuid) is
  'The balance row of a user, or what it would be once opened. Raises PT404 account_not_found.';

revoke all on function credits_private.read_account(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/seq_before.sql
-- seq_before: how many of the first rows of a ledger are older than an instant.
--
-- By halving, since rows are dated in their order: some 20 looks into a million rows. Where a clock was set back
-- the answer is as far off as the clock was; whoever asks leaves room for that.

create or replace function credits_private.seq_before(
  p_user_id uuid,
  p_last_seq bigint,
  p_at timestamptz
)
  returns bigint
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_low bigint := 0::bigint;
  v_high bigint := p_last_seq + 1;
  v_middle bigint;
begin
  while v_high - v_low > 1 loop
    v_middle := (v_low + v_high) / 2;
    perform from public.credit_transactions as t
    where t.user_id = p_user_id and t.seq = v_middle and t.created_at < p_at;
    if found then
      v_low := v_middle;
    else
      v_high := v_middle;
    end if;
  end loop;
  return v_low;
end;
$$;

comment on function credits_private.seq_before(uuid, bigint, timestamptz) is
  'The seq of the last ledger row of a user before an instant, 0 where there is none.';

revoke all on function credits_private.seq_before(uuid, bigint, timestamptz) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/read_usage.sql
-- read_usage: what a user spent between two instants, the first included and the second not.
--
-- A long ledger is entered where the window begins and left where it ends, with an hour to spare on each side for a
-- clock that was set back: as many rows are read as the window has, not as the user has.

create or replace function credits_private.read_usage(
  p_user_id uuid,
  p_since timestamptz,
  p_until timestamptz
)
  returns public.credit_usage
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_usage public.credit_usage;
  v_last bigint;
  v_first bigint := 0::bigint;
begin
  if p_since is null or p_until < p_since then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'since', 'value', p_since),
      hint = 'since is an instant, and until does not come before it.';
  end if;
  select a.last_seq into v_last from public.user_credits as a where a.user_id = p_user_id;
  if v_last > 1000 then
    v_first := credits_private.seq_before(p_user_id, v_last, p_since - pg_catalog.interval '1 hour');
    v_last := credits_private.seq_before(p_user_id, v_last, coalesce(p_until, 'infinity') + pg_catalog.interval '1 hour');
  end if;
  select
    coalesce(-sum(t.amount) filter (where t.type = 'consumption'), 0)::bigint,
    coalesce(sum(t.amount) filter (where t.type = 'refund'), 0)::bigint,
    count(*) filter (where t.type = 'consumption')
  into v_usage
  from public.credit_transactions as t
  where t.user_id = p_user_id
    and t.seq > v_first
    and t.seq <= v_last
    and t.created_at >= p_since
    and (p_until is null or t.created_at < p_until);
  return v_usage;
end;
$$;

comment on function credits_private.read_usage(uuid, timestamptz, timestamptz) is
  'Spending of a user in [since, until), until now when until is null. Raises 22023 invalid_argument.';

revoke all on function credits_private.read_usage(uuid, timestamptz, timestamptz) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/read_balance_at.sql
-- read_balance_at: what the balance was at a past instant.
--
-- The ledger up to then, and what had fallen due by then and was not written yet; what was written late is dated at
-- its own instant.

create or replace function credits_private.read_balance_at(
  p_user_id uuid,
  p_at timestamptz
)
  returns bigint
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  if p_at is null then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'at', 'value', p_at),
      hint = 'at is an instant.';
  end if;
  return coalesce(
    (
      select t.balance_after
      from public.credit_transactions as t
      where t.user_id = p_user_id
        and t.created_at <= p_at
      order by t.seq desc
      limit 1
    ),
    0
  ) + (credits_private.unswept(p_user_id, least(p_at, credits_private.now()))).credits;
end;
$$;

comment on function credits_private.read_balance_at(uuid, timestamptz) is
  'The balance in credits at an instant, 0 before the first ledger row. Raises 22023 invalid_argument.';

revoke all on function credits_private.read_balance_at(uuid, timestamptz) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/verify_ledger.sql
-- verify_ledger: proves that balances, lots and holds are what the ledger says, row by row.
--
-- One statement, so one snapshot: it may run beside spending and reports no half of a movement. It takes
-- no lock and writes nothing. Every rule is recomputed from the rows, in numeric, so that no planted figure
-- makes it fail instead of report; nothing that the engine stored to help itself is believed.

create or replace function credits_private.verify_ledger(p_user_id uuid)
  returns setof public.ledger_violation
  language plpgsql
  stable
  rows 10
  set search_path = ''
as $$
begin
  return query
  with entries as (
    select
      t.user_id,
      t.seq,
      t.amount::numeric as amount,
      t.balance_after,
      case
        when t.type in ('consumption', 'clawback', 'expiration') then -1
        when t.type = 'admin_adjustment' then sign(t.amount::numeric)
        else 1
      end as expected_sign,
      case when t.type in ('consumption', 'refund') then -t.amount::numeric else 0 end as used,
      row_number() over w as expected_seq,
      sum(t.amount) over w as running_sum
    from public.credit_transactions as t
    where p_user_id is null or t.user_id = p_user_id
    window w as (partition by t.user_id order by t.seq)
  ),
  sums as (
    select e.user_id, max(e.seq) as last_seq, sum(e.amount) as balance, sum(e.used) as used
    from entries as e
    group by e.user_id
  ),
  accounts as (
    select
      coalesce(a.user_id, s.user_id) as user_id,
      a.user_id is not null as exists,
      a.last_seq as stored_last_seq,
      a.credits_remaining as stored_balance,
      a.used_credits as stored_used,
      coalesce(s.last_seq, 0) as last_seq,
      coalesce(s.balance, 0) as balance,
      coalesce(s.used, 0) as used
    from (select c.* from public.user_credits as c where p_user_id is null or c.user_id = p_user_id) as a
    full join sums as s on s.user_id = a.user_id
  ),
  lots as (
    select
      coalesce(l.user_id, m.user_id) as user_id,
      coalesce(l.seq, m.lot_seq) as seq,
      l.granted,
      coalesce(l.remaining, 0) as remaining,
      l.expires_at,
      l.expired_at,
      coalesce(l.granted, 0) + coalesce(m.moved, 0) as expected,
      coalesce(m.held, 0) as held
    from (select c.* from credits_private.credit_lots as c where p_user_id is null or c.user_id = p_user_id) as l
    full join (
      select s.user_id, s.lot_seq, sum(s.amount) as moved, sum(s.held) as held
      from (
        select t.user_id, t.lot_seq, t.amount, 0 as held
        from credits_private.lot_allocations as t
        where t.lot_seq <> 0 and (p_user_id is null or t.user_id = p_user_id)
        union all
        select h.user_id, h.lot_seq, -h.amount, h.amount
        from credits_private.hold_lots as h
        where p_user_id is null or h.user_id = p_user_id
      ) as s
      group by s.user_id, s.lot_seq
    ) as m on m.user_id = l.user_id and m.lot_seq = l.seq
  ),
  allocations as (
    select t.user_id, t.origin_seq, t.seq, sum(t.amount) as amount
    from credits_private.lot_allocations as t
    where p_user_id is null or t.user_id = p_user_id
    group by t.user_id, t.origin_seq, t.seq
  ),
  holds as (
    select h.*
    from public.credit_holds as h
    where p_user_id is null or h.user_id = p_user_id
  ),
  promises as (
    select
      a.user_id,
      a.credits_remaining,
      a.credits_held,
      a.next_due_at,
      d.due_at,
      coalesce(l.in_lots, 0) as in_lots,
      coalesce(h.held, 0) as held,
      least(l.first_due_at, h.first_due_at) as first_due_at
    from (select c.* from public.user_credits as c where p_user_id is null or c.user_id = p_user_id) as a
    left join credits_private.due_accounts as d on d.user_id = a.user_id
    left join (
      select
        s.user_id, sum(s.remaining + s.held) as in_lots, min(s.expires_at) filter (where s.remaining > 0) as first_due_at
      from lots as s
      group by s.user_id
    ) as l on l.user_id = a.user_id
    left join (
      select s.user_id, sum(s.amount) as held, min(s.expires_at) as first_due_at
      from holds as s
      where s.status = 'active'
      group by s.user_id
    ) as h on h.user_id = a.user_id
  ),
  violations (user_id, seq, rule, expected, found, hold_id) as (
    select e.user_id, e.seq, 'seq_has_gap'::pg_catalog.text, e.expected_seq::numeric, e.seq::numeric, null::pg_catalog.uuid
    from entries as e
    where e.seq <> e.expected_seq
    union all
    select e.user_id, e.seq, 'balance_breaks_chain', e.running_sum, e.balance_after, null
    from entries as e
    where e.balance_after <> e.running_sum
    union all
    select e.user_id, e.seq, 'amount_breaks_type', e.expected_sign * abs(e.amount), e.amount, null
    from entries as e
    where sign(e.amount) <> e.expected_sign
    union all
    select c.user_id, null, 'balance_is_not_sum', c.balance, c.stored_balance, null
    from accounts as c
    where c.exists and c.stored_balance <> c.balance
    union all
    select c.user_id, null, 'used_is_not_consumption', c.used, c.stored_used, null
    from accounts as c
    where c.exists and c.stored_used <> c.used
    union all
    select c.user_id, null, 'last_seq_is_not_last', c.last_seq, c.stored_last_seq, null
    from accounts as c
    where c.exists and c.stored_last_seq <> c.last_seq
    union all
    select c.user_id, null, 'ledger_without_account', 0, c.last_seq, null
    from accounts as c
    where not c.exists
    union all
    select
      coalesce(p.user_id, l.user_id),
      coalesce(p.seq, l.first_seq),
      'purchase_is_not_its_rows',
      coalesce(p.credits - p.refunded_credits, 0),
      coalesce(l.amount, 0),
      null
    from (
      select b.*
      from public.purchase_transactions as b
      where b.seq is not null and (p_user_id is null or b.user_id = p_user_id)
    ) as p
    full join (
      select
        t.user_id,
        t.metadata ->> 'store' as store,
        t.metadata ->> 'environment' as environment,
        t.metadata ->> 'transaction_id' as transaction_id,
        t.metadata ->> 'product_id' as product_id,
        min(t.seq) as first_seq,
        sum(t.amount) as amount
      from public.credit_transactions as t
      where (p_user_id is null or t.user_id = p_user_id)
        and t.metadata ?& array['store', 'environment', 'transaction_id', 'product_id']
        and (t.idempotency_key like 'credits:purchase:%' or t.type in ('clawback', 'clawback_reversal'))
      group by 1, 2, 3, 4, 5
    ) as l
      on (l.user_id, l.store, l.environment, l.transaction_id, l.product_id)
        = (p.user_id, p.store, p.environment, p.transaction_id, p.product_id)
    where coalesce(l.amount, 0) <> coalesce(p.credits - p.refunded_credits, 0)
    union all
    select l.user_id, l.seq, 'lot_is_not_its_rows', l.expected, l.remaining, null
    from lots as l
    where l.remaining <> l.expected
    union all
    select l.user_id, l.seq, 'lot_is_not_its_grant', coalesce(t.amount, 0), coalesce(l.granted, 0), null
    from lots as l
    left join public.credit_transactions as t on t.user_id = l.user_id and t.seq = l.seq
    where l.granted is distinct from t.amount or l.granted is null
    union all
    select l.user_id, l.seq, 'lot_expired_with_credits', 0, l.remaining, null
    from lots as l
    where l.expired_at is not null and l.remaining <> 0
    union all
    select c.user_id, c.seq, 'allocation_exceeds_row', coalesce(t.amount, 0), c.amount, null
    from allocations as c
    left join public.credit_transactions as t on t.user_id = c.user_id and t.seq = c.seq
    where abs(c.amount) > coalesce(abs(t.amount::numeric), 0)
      or t.type = 'expiration' and t.metadata ? 'lot' and c.amount <> t.amount
    union all
    select c.user_id, c.seq, 'refund_is_not_its_parts', t.amount, c.amount, null
    from allocations as c
    join public.credit_transactions as t on t.user_id = c.user_id and t.seq = c.seq
    where t.type = 'refund' and c.origin_seq <> c.seq and c.amount <> t.amount
    union all
    select c.user_id, c.origin_seq, 'refund_exceeds_consumption', -t.amount, sum(c.amount), null
    from allocations as c
    join public.credit_transactions as t on t.user_id = c.user_id and t.seq = c.origin_seq
    where t.type = 'consumption' and c.origin_seq <> c.seq
    group by c.user_id, c.origin_seq, t.amount
    having sum(c.amount) > -t.amount
    union all
    select m.user_id, null, 'lots_exceed_balance', greatest(m.credits_remaining, 0), m.in_lots, null
    from promises as m
    where m.in_lots > greatest(m.credits_remaining, 0)
    union all
    select m.user_id, null, 'held_is_not_holds', m.held, m.credits_held, null
    from promises as m
    where m.held <> m.credits_held
    union all
    select
      m.user_id, null, 'due_is_late', floor(extract(epoch from m.first_due_at)), floor(extract(epoch from m.next_due_at)), null
    from promises as m
    where (m.next_due_at <= m.first_due_at) is not true and m.first_due_at is not null
    union all
    select
      m.user_id, null, 'due_is_not_queued', floor(extract(epoch from m.next_due_at)), floor(extract(epoch from m.due_at)), null
    from promises as m
    where m.next_due_at is distinct from m.due_at
    union all
    select h.user_id, h.seq, 'capture_is_not_its_row', coalesce(-t.amount, 0), h.captured_amount, h.id
    from holds as h
    left join public.credit_transactions as t on t.user_id = h.user_id and t.seq = h.seq and t.type = 'consumption'
    where h.status = 'captured' and h.captured_amount is distinct from -t.amount
    union all
    select h.user_id, h.seq, 'capture_exceeds_hold', h.amount, h.captured_amount, h.id
    from holds as h
    where h.captured_amount > h.amount
    union all
    select h.user_id, null, 'hold_without_account', 0, h.amount, h.id
    from holds as h
    where not exists (select from public.user_credits as a where a.user_id = h.user_id)
    union all
    select
      coalesce(h.user_id, p.user_id), null, 'hold_is_not_its_lots',
      case when h.status = 'active' then h.amount else 0 end, p.amount, p.hold_id
    from (
      select q.user_id, q.hold_id, sum(q.amount) as amount
      from credits_private.hold_lots as q
      where p_user_id is null or q.user_id = p_user_id
      group by q.user_id, q.hold_id
    ) as p
    left join holds as h on h.user_id = p.user_id and h.id = p.hold_id
    where p.amount > case when h.status = 'active' then h.amount else 0 end
  )
  select
    v.user_id,
    v.seq,
    v.rule,
    least(greatest(v.expected, -9223372036854775808), 9223372036854775807)::bigint,
    v.found::bigint,
    v.hold_id
  from violations as v
  order by v.user_id, v.seq, v.rule, v.hold_id;
end;
$$;

comment on function credits_private.verify_ledger(uuid) is
  'Every place where the books of a user, or of all when null, do not add up. No rows is the good answer.';

revoke all on function credits_private.verify_ledger(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/say_time.sql
-- say_time: an instant for a person, in UTC whatever the session's time zone.

create or replace function credits_private.say_time(p_at timestamptz)
  returns text
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return to_char(p_at at time zone 'UTC', 'FMDD FMMonth YYYY HH24:MI "UTC"');
end;
$$;

comment on function credits_private.say_time(timestamptz) is
  'An instant in words, to the minute: 21 November 2026 20:15 UTC.';

revoke all on function credits_private.say_time(timestamptz) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/say_credits.sql
-- say_credits: an amount for a person.

create or replace function credits_private.say_credits(p_amount bigint)
  returns text
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return concat(p_amount, case when p_amount = 1 then ' credit' else ' credits' end);
end;
$$;

comment on function credits_private.say_credits(bigint) is
  'An amount in words: 1 credit, 12 credits.';

revoke all on function credits_private.say_credits(bigint) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/summarize_balance.sql
-- summarize_balance: what explain_balance found, in sentences for a person.

create or replace function credits_private.summarize_balance(
  p_account public.user_credits,
  p_now timestamptz,
  p_types jsonb,
  p_unwritten bigint,
  p_lots jsonb,
  p_holds jsonb,
  p_grants jsonb,
  p_debts jsonb
)
  returns jsonb
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_lines pg_catalog.text[];
begin
  v_lines := array[
    concat(
      'On ', credits_private.say_time(p_now), ' the balance is ', credits_private.say_credits(p_account.credits_remaining),
      case
        when p_account.credits_held > 0 then concat(
          '; ', p_account.credits_held, case when p_account.credits_held = 1 then ' is' else ' are' end, ' held, so ',
          credits_private.say_credits(greatest(p_account.credits_remaining - p_account.credits_held, 0)), ' can be spent'
        )
      end,
      '.'
    )
  ];
  v_lines := v_lines || array(
    select concat(
      initcap(replace(t.key, '_', ' ')), ': ', case when t.value ->> 'credits' like '-%' then '' else '+' end,
      t.value ->> 'credits', ' in ', t.value ->> 'operations',
      case when t.value ->> 'operations' = '1' then ' operation.' else ' operations.' end
    )
    from jsonb_each(p_types) as t
    order by t.key
  );
  if p_unwritten <> 0 then
    v_lines := v_lines || concat(
      'Due since, and written with the next operation: ', case when p_unwritten > 0 then '+' end, p_unwritten, '.'
    );
  end if;
  v_lines := v_lines || array(
    select concat(
      credits_private.say_credits((l.value ->> 'remaining')::bigint),
      case when l.value ->> 'held' <> '0' then concat(' (and ', l.value ->> 'held', ' held)') end,
      ' of the ', l.value ->> 'granted', ' from row ', l.value ->> 'seq', ' (',
      coalesce(l.value ->> 'description', replace(l.value ->> 'type', '_', ' ')),
      case
        when (l.value ->> 'expires_at')::pg_catalog.timestamptz > p_now
          then case when l.value ->> 'remaining' = '1' then ') expires on ' else ') expire on ' end
        else ') expired but for what is held, on '
      end,
      credits_private.say_time((l.value ->> 'expires_at')::pg_catalog.timestamptz), '.'
    )
    from jsonb_array_elements(p_lots) with ordinality as l (value, place)
    order by l.place
  );
  v_lines := v_lines || array(
    select concat(
      credits_private.say_credits((h.value ->> 'amount')::bigint),
      case when h.value ->> 'amount' = '1' then ' is held' else ' are held' end, ' for ' || (h.value ->> 'description'),
      ' until ', credits_private.say_time((h.value ->> 'expires_at')::pg_catalog.timestamptz), ' at the latest.'
    )
    from jsonb_array_elements(p_holds) with ordinality as h (value, place)
    order by h.place
  );
  v_lines := v_lines || array(
    select concat(
      credits_private.say_credits((g.value ->> 'amount')::bigint),
      case when g.value ->> 'amount' = '1' then ' comes every ' else ' come every ' end, g.value ->> 'period', ' (', g.value ->> 'name',
      '), next on ', credits_private.say_time((g.value ->> 'next_at')::pg_catalog.timestamptz), '.'
    )
    from jsonb_array_elements(p_grants) with ordinality as g (value, place)
    order by g.place
  );
  v_lines := v_lines || array(
    select concat(
      'Below zero since row ', d.value ->> 'seq', ' of ',
      credits_private.say_time((d.value ->> 'created_at')::pg_catalog.timestamptz), ': ', replace(d.value ->> 'type', '_', ' '), ' of ',
      credits_private.say_credits(-(d.value ->> 'amount')::bigint), ' (' || (d.value ->> 'description') || ')',
      '. The next credits pay this first.'
    )
    from jsonb_array_elements(p_debts) with ordinality as d (value, place)
    order by d.place desc
  );
  return to_jsonb(v_lines);
end;
$$;

comment on function credits_private.summarize_balance(
  public.user_credits, timestamptz, jsonb, bigint, jsonb, jsonb, jsonb, jsonb
) is
  'A JSON array of sentences about a balance.';

revoke all on function credits_private.summarize_balance(
  public.user_credits, timestamptz, jsonb, bigint, jsonb, jsonb, jsonb, jsonb
) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/explain_balance.sql
-- explain_balance: where a balance comes from, for a person who has to answer a mail about it.
--
-- Figures for programs, and under summary the same in sentences that can be pasted into the answer. As of now: what has
-- fallen due is counted, whether or not it was written.

create or replace function credits_private.explain_balance(p_user_id uuid)
  returns jsonb
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_account public.user_credits := credits_private.read_account(p_user_id);
  v_now pg_catalog.timestamptz := credits_private.now();
  v_lots pg_catalog.jsonb;
  v_holds pg_catalog.jsonb;
  v_grants pg_catalog.jsonb;
  v_debts pg_catalog.jsonb;
  v_types pg_catalog.jsonb;
  v_unwritten bigint;
begin
  select coalesce(jsonb_agg(to_jsonb(s) order by s.expires_at, s.seq), '[]')
  into v_lots
  from (
    select l.seq, t.type, t.description, l.granted, l.remaining + f.freed as remaining, h.held - f.freed as held, l.expires_at
    from credits_private.credit_lots as l
    join public.credit_transactions as t on t.user_id = l.user_id and t.seq = l.seq
    cross join lateral (
      select coalesce(sum(p.amount), 0)::bigint as held
      from credits_private.hold_lots as p
      where p.user_id = l.user_id and p.lot_seq = l.seq
    ) as h
    cross join lateral (
      select coalesce(sum(p.amount), 0)::bigint as freed
      from credits_private.hold_lots as p
      join public.credit_holds as e on e.user_id = p.user_id and e.id = p.hold_id
      where p.user_id = l.user_id and p.lot_seq = l.seq and e.expires_at <= v_now
    ) as f
    where l.user_id = p_user_id and (l.remaining > 0 and l.expires_at > v_now or h.held > 0)
  ) as s
  where s.held > 0 or s.expires_at > v_now;
  select coalesce(jsonb_agg(to_jsonb(s) order by s.expires_at, s.id), '[]')
  into v_holds
  from (
    select h.id, h.amount, h.description, h.created_at, h.expires_at
    from public.credit_holds as h
    where h.user_id = p_user_id and h.status = 'active' and h.expires_at > v_now
  ) as s;
  select coalesce(jsonb_agg(to_jsonb(s) order by s.name, s.next_at), '[]')
  into v_grants
  from (
    select g.name, g.amount, g.period, g.rollover, g.next_at
    from credits_private.find_grants(p_user_id, v_now) as g
    where g.next_at is not null
  ) as s;
  select coalesce(jsonb_agg(to_jsonb(s) order by s.seq desc), '[]')
  into v_debts
  from (
    select t.seq, t.type, t.amount, t.balance_after, t.description, t.created_at
    from public.credit_transactions as t
    where t.user_id = p_user_id
      and v_account.credits_remaining < 0
      and t.amount < 0
      and t.balance_after < 0
      and t.seq > (
        select coalesce(max(b.seq), 0)
        from public.credit_transactions as b
        where b.user_id = p_user_id and b.balance_after >= 0
      )
  ) as s;
  select coalesce(jsonb_object_agg(g.type, jsonb_build_object('credits', g.credits, 'operations', g.operations)), '{}')
  into v_types
  from (
    select t.type, sum(t.amount) as credits, count(*) as operations
    from public.credit_transactions as t
    where t.user_id = p_user_id
    group by t.type
  ) as g;
  v_unwritten := v_account.credits_remaining - coalesce(
    (select a.credits_remaining from public.user_credits as a where a.user_id = p_user_id), 0
  );
  return jsonb_build_object(
    'user_id', p_user_id,
    'as_of', v_now,
    'credits_available', v_account.credits_remaining - v_account.credits_held,
    'credits_remaining', v_account.credits_remaining,
    'credits_held', v_account.credits_held,
    'total_credits', v_account.total_credits,
    'used_credits', v_account.used_credits,
    'operations', v_account.last_seq,
    'unwritten', v_unwritten,
    'by_type', v_types,
    'lots', v_lots,
    'holds', v_holds,
    'recurring_grants', v_grants,
    'debts', v_debts,
    'latest', (
      select coalesce(jsonb_agg(to_jsonb(h) - 'user_id' order by h.seq desc), '[]')
      from credits_private.read_history(p_user_id, 5, null, null) as h
    ),
    'adds_up', not exists (select from credits_private.verify_ledger(p_user_id)),
    'summary', credits_private.summarize_balance(
      v_account, v_now, v_types, v_unwritten, v_lots, v_holds, v_grants, v_debts
    )
  );
end;
$$;

comment on function credits_private.explain_balance(uuid) is
  'A JSON object: the figures of the balance, totals by type, what has fallen due and is not written yet, lots, holds, recurring grants, debts and where they come from, the five newest ledger rows, whether the books add up, and a summary in sentences. Raises PT404 account_not_found.';

revoke all on function credits_private.explain_balance(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/join_claims.sql
-- join_claims: several names turn out to be of one transaction.
--
-- The caller holds all of them. The name that has a purchase counts, else the one that the store prefers; facts
-- move there. Where two were credited to one user already, it was one payment told under two names: the second
-- purchase is taken back. To two users, it is a conflict for an operator.

create or replace function credits_private.join_claims(
  p_store text,
  p_environment text,
  p_roots text[],
  p_preferred text[]
)
  returns credits_private.purchase_claims
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims;
  v_other credits_private.purchase_claims;
  v_purchase public.purchase_transactions;
begin
  for v_other in
    select c.*
    from credits_private.purchase_claims as c
    where c.store = p_store and c.environment = p_environment and c.transaction_id = any (p_roots)
    order by
      not c.is_closed,
      not exists (
        select
        from public.purchase_transactions as p
        where p.user_id = c.user_id
          and p.store = c.store
          and p.environment = c.environment
          and p.transaction_id = c.transaction_id
      ),
      c.user_id is null,
      array_position(p_preferred, c.transaction_id),
      c.transaction_id
  loop
    if v_claim.transaction_id is null then
      v_claim := v_other;
      continue;
    end if;
    for v_purchase in
      delete from public.purchase_transactions as p
      where p.user_id = v_other.user_id
        and p.store = v_other.store
        and p.environment = v_other.environment
        and p.transaction_id = v_other.transaction_id
      returning p.*
    loop
      if v_other.user_id is distinct from v_claim.user_id then
        raise exception using
          errcode = 'PT409',
          message = 'purchase_conflict',
          detail = json_build_object('store', p_store, 'transaction_id', v_claim.transaction_id),
          hint = 'Two names of one transaction were credited to two accounts.';
      end if;
      if v_purchase.seq is not null and v_purchase.credits > v_purchase.refunded_credits then
        perform credits_private.adjust_purchase(
          v_purchase, v_purchase.refunded_credits - v_purchase.credits, 'Second record of ' || v_purchase.product_id
        );
      end if;
      perform credits_private.refresh_entitlements(
        coalesce(v_other.entitled_user_id, v_other.user_id), v_purchase.entitlements
      );
    end loop;
    insert into credits_private.purchase_facts as f (
      store, environment, transaction_id, kind, ref, product_id, stage, cents, basis_cents, currency, credits, until
    )
    select
      o.store, o.environment, v_claim.transaction_id, o.kind, o.ref, o.product_id, o.stage, o.cents, o.basis_cents,
      o.currency, o.credits, o.until
    from credits_private.purchase_facts as o
    where o.store = p_store and o.environment = p_environment and o.transaction_id = v_other.transaction_id
    on conflict (store, environment, transaction_id, kind, ref) do update
    set
      stage = greatest(f.stage, excluded.stage),
      cents = greatest(f.cents, excluded.cents),
      basis_cents = greatest(f.basis_cents, excluded.basis_cents),
      credits = greatest(f.credits, excluded.credits),
      until = greatest(f.until, excluded.until);
    delete from credits_private.purchase_facts as f
    where f.store = p_store and f.environment = p_environment and f.transaction_id = v_other.transaction_id;
    update credits_private.purchase_claims as c
    set alias_of = v_claim.transaction_id, user_id = null, source = null, claimed_at = null
    where c.store = p_store and c.environment = p_environment and c.transaction_id = v_other.transaction_id;
  end loop;
  return v_claim;
end;
$$;

comment on function credits_private.join_claims(text, text, text[], text[]) is
  'Makes several locked claims one, and returns it. Raises PT409 purchase_conflict.';

revoke all on function credits_private.join_claims(text, text, text[], text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refresh_entitlements.sql
-- refresh_entitlements: what purchases and grants together give a user, and until when.
--
-- For the entitlements that something just happened to. The longest of what was bought and not refunded (and not
-- transferred away), and of what was granted; nothing of either, and the row goes. The last lock of a transaction,
-- one by user, because a purchase may give an entitlement to somebody whose balance is not locked. Where a
-- recurring grant hangs on one of them, what it gave so far is written first and next_due_at is set after, if the
-- balance is ours or free.

create or replace function credits_private.refresh_entitlements(
  p_user_id uuid,
  p_entitlements text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_name pg_catalog.text;
  v_store pg_catalog.text;
  v_until pg_catalog.timestamptz;
  v_row public.user_entitlements;
  v_has_grants boolean;
  v_is_locked boolean := false;
  v_is_transfer boolean;
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  if p_user_id = '00000000-0000-0000-0000-000000000000' then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('credits_private.user_entitlements:' || p_user_id::pg_catalog.text, 0));
  v_has_grants := exists (select from credits_private.recurring_grants as g where g.entitlement = any (p_entitlements));
  if v_has_grants then
    perform
    from public.user_credits as a
    join auth.users as u on u.id = a.user_id
    where a.user_id = p_user_id
    for key share of u skip locked
    for no key update of a skip locked;
    v_is_locked := found;
    if v_is_locked then
      perform credits_private.settle_account(p_user_id);
    end if;
  end if;
  foreach v_name in array p_entitlements loop
    select b.store, b.until, b.is_transfer
    into v_store, v_until, v_is_transfer
    from (
      select p.store, coalesce(p.entitled_until, 'infinity') as until, false as is_transfer
      from public.purchase_transactions as p
      join credits_private.purchase_claims as c
        on c.store = p.store and c.environment = p.environment and c.transaction_id = p.transaction_id
      where p.user_id = p_user_id
        and p.status = 'completed'
        and v_name = any (p.entitlements)
        and coalesce(c.entitled_user_id, p_user_id) = p_user_id
      union all
      select p.store, coalesce(p.entitled_until, 'infinity'), true
      from credits_private.purchase_claims as c
      join public.purchase_transactions as p
        on p.user_id = c.user_id
        and p.store = c.store
        and p.environment = c.environment
        and p.transaction_id = c.transaction_id
      where c.entitled_user_id = p_user_id and p.status = 'completed' and v_name = any (p.entitlements)
    ) as b
    order by b.until desc, b.is_transfer, b.store
    limit 1;
    select e.* into v_row
    from public.user_entitlements as e
    where e.user_id = p_user_id and e.entitlement = v_name;
    if v_row.granted_by is not null and (v_until is null or v_until < coalesce(v_row.granted_until, 'infinity')) then
      v_store := v_row.granted_by;
      v_is_transfer := v_row.granted_by = 'transfer';
      v_until := coalesce(v_row.granted_until, 'infinity');
    end if;
    if v_until is null then
      delete from public.user_entitlements as e where e.user_id = p_user_id and e.entitlement = v_name;
    elsif v_row.user_id is null
      or (v_row.active_until, v_row.source) is distinct from (nullif(v_until, 'infinity'), v_store)
    then
      insert into public.user_entitlements as e (
        user_id, entitlement, active_until, source, updated_at, active_since, transferred_at
      )
      values (
        p_user_id, v_name, nullif(v_until, 'infinity'), v_store, v_now, v_now, case when v_is_transfer then v_now end
      )
      on conflict (user_id, entitlement) do update
      set
        active_until = excluded.active_until,
        source = excluded.source,
        updated_at = excluded.updated_at,
        active_since = case when e.active_until <= v_now then v_now else e.active_since end,
        transferred_at = case
          when not v_is_transfer then null
          when e.active_until <= v_now then v_now
          else e.transferred_at
        end;
    end if;
  end loop;
  if v_is_locked then
    perform credits_private.set_due(p_user_id);
  elsif v_has_grants then
    update credits_private.recurring_grants as g
    set told_to = '00000000-0000-0000-0000-000000000000'
    where g.entitlement = any (p_entitlements) and (g.ends_at > v_now) is not false;
  end if;
end;
$$;

comment on function credits_private.refresh_entitlements(uuid, text[]) is
  'Brings entitlements of a user to what purchases and grants give.';

revoke all on function credits_private.refresh_entitlements(uuid, text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/grant_purchase.sql
-- grant_purchase: posts the ledger row of a purchase that was paid for, and makes its lot where its credits expire.
--
-- The key of the row is the second guard against twice. The caller holds the lock of the balance.

create or replace function credits_private.grant_purchase(
  p_purchase public.purchase_transactions
)
  returns bigint
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_row public.credit_transactions;
begin
  if p_purchase.credits = 0 then
    return null;
  end if;
  perform credits_private.settle_account(p_purchase.user_id);
  v_row := credits_private.post(
    p_purchase.user_id, 'purchase', p_purchase.credits, 'Purchase of ' || p_purchase.product_id,
    credits_private.name_purchase(p_purchase),
    'credits:purchase:' || encode(
      sha256(convert_to(
        jsonb_build_array(
          p_purchase.store, p_purchase.environment, p_purchase.transaction_id, p_purchase.product_id
        )::pg_catalog.text,
        'UTF8'
      )),
      'hex'
    )
  );
  if p_purchase.credits_expire_at is not null then
    perform credits_private.make_lot(v_row, p_purchase.credits_expire_at);
  end if;
  return v_row.seq;
end;
$$;

comment on function credits_private.grant_purchase(public.purchase_transactions) is
  'Posts the ledger row of a paid purchase and returns its seq; null for one worth no credits. Raises PT422 balance_limit.';

revoke all on function credits_private.grant_purchase(public.purchase_transactions)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/adjust_purchase.sql
-- adjust_purchase: posts a clawback, or its reversal, and sees to the lots.
--
-- A clawback takes from the lot of its own purchase first, held or not. Credits of that lot which have expired are
-- put back before, or they would be taken twice, and a refund that comes late would leave another balance than one
-- in time. A reversal gives back to where the clawbacks took from. The caller holds the lock of the balance.

create or replace function credits_private.adjust_purchase(
  p_purchase public.purchase_transactions,
  p_change bigint,
  p_description text
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_row public.credit_transactions;
  v_lot credits_private.credit_lots;
  v_expired bigint;
  v_left bigint;
  v_held pg_catalog.record;
begin
  perform credits_private.settle_account(p_purchase.user_id);
  if p_change > 0 then
    v_row := credits_private.post(
      p_purchase.user_id, 'clawback_reversal', p_change, p_description, credits_private.name_purchase(p_purchase), null
    );
    perform credits_private.give_back(
      p_purchase.user_id, p_purchase.seq, v_row.seq, p_change, p_purchase.refunded_credits, v_row.created_at
    );
    return;
  end if;
  select l.* into v_lot
  from credits_private.credit_lots as l
  where l.user_id = p_purchase.user_id and l.seq = p_purchase.seq;
  if found then
    select least(coalesce(-sum(t.amount), 0), -p_change)::bigint
    into v_expired
    from credits_private.lot_allocations as t
    join public.credit_transactions as e on e.user_id = t.user_id and e.seq = t.seq
    where t.user_id = p_purchase.user_id
      and t.lot_seq = p_purchase.seq
      and t.origin_seq = t.seq
      and (e.type = 'expiration' or e.type = 'admin_adjustment' and t.amount > 0);
    if v_expired > 0 then
      v_row := credits_private.post(
        p_purchase.user_id, 'admin_adjustment', v_expired, 'Expired credits of ' || p_purchase.product_id || ', refunded',
        jsonb_build_object('lot', p_purchase.seq), null
      );
      insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
      values (p_purchase.user_id, v_row.seq, v_row.seq, p_purchase.seq, v_expired);
      v_lot.remaining := v_lot.remaining + v_expired;
    end if;
  end if;
  v_row := credits_private.post(
    p_purchase.user_id, 'clawback', p_change, p_description, credits_private.name_purchase(p_purchase), null
  );
  if v_lot.seq is not null then
    v_left := -p_change - least(v_lot.remaining, -p_change);
    update credits_private.credit_lots as l
    set remaining = greatest(v_lot.remaining + p_change, 0)
    where l.user_id = p_purchase.user_id and l.seq = p_purchase.seq;
    -- next what holds have of this very lot: they stay, and stand on credits that never expire
    for v_held in
      select p.hold_id, p.amount
      from credits_private.hold_lots as p
      join public.credit_holds as h on h.user_id = p.user_id and h.id = p.hold_id
      where p.user_id = p_purchase.user_id and p.lot_seq = p_purchase.seq
      order by h.created_at, h.id
    loop
      exit when v_left = 0;
      if v_held.amount > v_left then
        update credits_private.hold_lots as p
        set amount = p.amount - v_left
        where p.user_id = p_purchase.user_id and p.hold_id = v_held.hold_id and p.lot_seq = p_purchase.seq;
      else
        delete from credits_private.hold_lots as p
        where p.user_id = p_purchase.user_id and p.hold_id = v_held.hold_id and p.lot_seq = p_purchase.seq;
      end if;
      v_left := v_left - least(v_left, v_held.amount);
    end loop;
    if v_left < -p_change then
      insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
      values (p_purchase.user_id, p_purchase.seq, v_row.seq, p_purchase.seq, p_change + v_left);
    end if;
  end if;
  perform credits_private.cover_debt(p_purchase.user_id, p_purchase.seq, v_row.seq);
end;
$$;

comment on function credits_private.adjust_purchase(public.purchase_transactions, bigint, text) is
  'Posts what a store took back of a purchase (negative) or gave back (positive). Raises PT422 balance_limit.';

revoke all on function credits_private.adjust_purchase(public.purchase_transactions, bigint, text)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/settle_transaction.sql
-- settle_transaction: brings the ledger to what is known of a transaction.
--
-- Grants what was paid for and not granted, then posts the difference between what has been taken back and what
-- should be: a clawback or its reversal. A target and not a delta, so it may run as often as one likes, and
-- finishes whatever a crash left. The caller holds the balance of the claimant and the claim.

create or replace function credits_private.settle_transaction(
  p_claim credits_private.purchase_claims
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_purchase public.purchase_transactions;
  v_was public.purchase_transactions;
  v_share numeric;
  v_change bigint;
  v_exact numeric := 0::numeric;
  v_rounded bigint := 0::bigint;
begin
  for v_was in
    select p.*
    from public.purchase_transactions as p
    where p.user_id = p_claim.user_id
      and p.store = p_claim.store
      and p.environment = p_claim.environment
      and p.transaction_id = p_claim.transaction_id
      and p.verified_at is not null
    order by p.product_id
  loop
    v_purchase := v_was;
    if v_was.seq is null then
      v_purchase.seq := credits_private.grant_purchase(v_was);
    end if;
    v_share := credits_private.refunded_share(v_was);
    -- rounded so that the parts of a transaction come to the rounded whole
    v_exact := v_exact + v_was.credits * v_share;
    v_purchase.refunded_credits := round(v_exact)::bigint - v_rounded;
    v_rounded := v_rounded + v_purchase.refunded_credits;
    v_purchase.status := case
      when v_share >= 1 and not exists (
        select
        from credits_private.purchase_facts as f
        where f.store = v_was.store
          and f.environment = v_was.environment
          and f.transaction_id = v_was.transaction_id
          and f.kind = 'refund'
          and f.ref = 'trial:' || v_was.product_id
      ) then 'refunded'
      else 'completed'
    end::public.purchase_status;
    v_change := v_was.refunded_credits - v_purchase.refunded_credits;
    if v_change <> 0 then
      v_was.seq := v_purchase.seq;
      perform credits_private.adjust_purchase(
        v_was, v_change, 'Refund of ' || v_was.product_id || case when v_change > 0 then ' taken back' else '' end
      );
    end if;
    if v_was.entitlements <> '{}' then
      v_purchase.entitled_until := credits_private.period_end(v_was);
    end if;
    if v_purchase is distinct from v_was then
      update public.purchase_transactions as p
      set
        status = v_purchase.status,
        refunded_credits = v_purchase.refunded_credits,
        entitled_until = v_purchase.entitled_until,
        seq = v_purchase.seq
      where p.user_id = v_was.user_id
        and p.store = v_was.store
        and p.environment = v_was.environment
        and p.transaction_id = v_was.transaction_id
        and p.product_id = v_was.product_id;
    end if;
    if v_was.entitlements <> '{}' then
      perform credits_private.refresh_entitlements(
        coalesce(p_claim.entitled_user_id, v_was.user_id), v_was.entitlements
      );
    end if;
  end loop;
end;
$$;

comment on function credits_private.settle_transaction(credits_private.purchase_claims) is
  'Grants and takes back what is due for a claimed and locked transaction. Raises PT422 balance_limit.';

revoke all on function credits_private.settle_transaction(credits_private.purchase_claims) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/record_payment.sql
-- record_payment: a product was bought, or is being paid for; whoever says so, it is one purchase.
--
-- Claim and grant are steps of their own, each right when it runs again. Balance first, then the claim, as
-- everywhere. What the product is worth is written down on the first call and holds for ever; a second source that
-- tells of the same transaction adds nothing, under whatever product name.

create or replace function credits_private.record_payment(
  p_user_id uuid,
  p_provider text,
  p_fact credits_private.store_fact,
  p_payload jsonb,
  p_at timestamptz
)
  returns public.purchase_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims;
  v_product public.credit_products;
  v_purchase public.purchase_transactions;
  v_now pg_catalog.timestamptz;
begin
  perform credits_private.lock_account(p_user_id);
  v_now := credits_private.now();
  v_claim := credits_private.open_transaction(
    p_user_id, p_fact.source, p_fact.store, p_fact.environment, p_fact.transaction_ids
  );
  if v_claim.is_closed then
    raise exception using
      errcode = 'PT410',
      message = 'account_closed',
      detail = '{}',
      hint = 'This transaction belonged to an account that was deleted: it is not credited again.';
  elsif v_claim.user_id <> p_user_id then
    raise exception using
      errcode = 'PT409',
      message = 'purchase_conflict',
      detail = json_build_object('store', p_fact.store, 'transaction_id', p_fact.transaction_ids[1]),
      hint = 'This transaction has been credited already.';
  end if;

  select p.* into v_purchase
  from public.purchase_transactions as p
  where p.user_id = p_user_id
    and p.store = v_claim.store
    and p.environment = v_claim.environment
    and p.transaction_id = v_claim.transaction_id
    and p.product_id = p_fact.product_id;
  if not found and v_claim.source <> p_fact.source then
    select p.* into v_purchase
    from public.purchase_transactions as p
    where p.user_id = p_user_id
      and p.store = v_claim.store
      and p.environment = v_claim.environment
      and p.transaction_id = v_claim.transaction_id
    order by p.product_id
    limit 1;
  end if;
  if v_purchase.user_id is not null then
    update public.purchase_transactions as p
    set
      verified_at = coalesce(p.verified_at, case when p_fact.stage = 2 then v_now end),
      -- they last from the day on which they were paid for
      credits_expire_at = case
        when p.verified_at is null and p_fact.stage = 2
          then credits_private.in_utc(p.credits_expire_at, v_now - p.created_at)
        else p.credits_expire_at
      end,
      status = case when p.status = 'pending' and p_fact.stage = 1 then 'failed' else p.status end,
      price_cents = least(
        p.price_cents, case when p_fact.currency = coalesce(p.currency, p_fact.currency) then p_fact.price_cents end
      ),
      currency = coalesce(p.currency, case when p_fact.price_cents is not null then p_fact.currency end),
      entitlements = case
        when p_fact.entitlements <@ p.entitlements is not false then p.entitlements
        else array(select e.name from unnest(p.entitlements || p_fact.entitlements) as e (name) group by e.name order by e.name)
      end
    where p.user_id = p_user_id
      and p.store = v_purchase.store
      and p.environment = v_purchase.environment
      and p.transaction_id = v_purchase.transaction_id
      and p.product_id = v_purchase.product_id
    returning p.* into v_purchase;
  else
    v_product := credits_private.find_product(p_fact, p_at);
    if p_fact.environment <> 'PRODUCTION' then
      perform credits_private.check_sandbox(p_user_id);
    end if;
    v_purchase.user_id := p_user_id;
    v_purchase.store := v_claim.store;
    v_purchase.environment := v_claim.environment;
    v_purchase.transaction_id := v_claim.transaction_id;
    v_purchase.product_id := p_fact.product_id;
    v_purchase.quantity := coalesce(p_fact.quantity, 1);
    v_purchase.credits := v_purchase.quantity * case
      when p_fact.is_trial then v_product.trial_credits
      else v_product.credits + v_product.bonus_credits
    end;
    v_purchase.entitlements := coalesce(p_fact.entitlements, '{}');
    if v_product.entitlement <> all (v_purchase.entitlements) and v_product.entitlement is not null then
      v_purchase.entitlements := array(
        select e.name from unnest(v_purchase.entitlements || v_product.entitlement) as e (name) order by e.name
      );
    end if;
    v_purchase.created_at := v_now;
    -- what Apple sold never expires
    if v_claim.store not in ('app_store', 'mac_app_store') then
      v_purchase.credits_expire_at := credits_private.in_utc(v_now, v_product.expires_after);
    end if;
    v_purchase.status :=
      case p_fact.stage when 0 then 'pending' when 1 then 'failed' else 'completed' end::public.purchase_status;
    if p_fact.stage = 2 then
      v_purchase.verified_at := v_now;
      v_purchase.seq := credits_private.grant_purchase(v_purchase);
    end if;
    insert into public.purchase_transactions as p (
      user_id, store, environment, transaction_id, product_id, provider, status, credits, quantity, price_cents,
      currency, entitlements, entitled_until, seq, payload, verified_at, created_at, credits_expire_at
    )
    values (
      p_user_id, v_purchase.store, v_purchase.environment, v_purchase.transaction_id, v_purchase.product_id, p_provider,
      v_purchase.status, v_purchase.credits, v_purchase.quantity, p_fact.price_cents, p_fact.currency,
      v_purchase.entitlements, p_fact.until, v_purchase.seq, p_payload, v_purchase.verified_at, v_purchase.created_at,
      v_purchase.credits_expire_at
    )
    returning p.* into v_purchase;
  end if;

  if v_purchase.entitlements <> '{}' and p_fact.stage = 2 then
    perform credits_private.keep_fact(
      v_claim, 'period', case when p_fact.until is null then 'forever:' else 'paid:' end || v_purchase.product_id,
      v_purchase.product_id, 1, null, null, null, null, p_fact.until
    );
  end if;
  if p_fact.basis_cents is not null and p_fact.stage = 2 then
    perform credits_private.keep_fact(
      v_claim, 'total', '', null, 1, p_fact.basis_cents, null, p_fact.currency, null, null
    );
  end if;
  if p_fact.is_trial and v_purchase.payload ->> 'type' = 'VIRTUAL_CURRENCY_TRANSACTION' then
    perform credits_private.correct_trial(v_claim, v_purchase, p_at);
  end if;
  -- an ordinary purchase is complete by now: no fact is known of it
  if v_purchase.verified_at is not null and v_purchase.seq is null or exists (
    select
    from credits_private.purchase_facts as f
    where f.store = v_claim.store and f.environment = v_claim.environment and f.transaction_id = v_claim.transaction_id
  ) then
    perform credits_private.settle_transaction(v_claim);
    select p.* into v_purchase
    from public.purchase_transactions as p
    where p.user_id = p_user_id
      and p.store = v_purchase.store
      and p.environment = v_purchase.environment
      and p.transaction_id = v_purchase.transaction_id
      and p.product_id = v_purchase.product_id;
  end if;
  return v_purchase;
end;
$$;

comment on function credits_private.record_payment(
  uuid, text, credits_private.store_fact, jsonb, timestamptz
) is
  'Records a payment for a user, credits it once, and returns the purchase. Raises PT409 purchase_conflict, PT410 account_closed, PT422 unknown_product or balance_limit, and 22023.';

revoke all on function credits_private.record_payment(
  uuid, text, credits_private.store_fact, jsonb, timestamptz
) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/grant_entitlement.sql
-- grant_entitlement: the engine of grant_entitlement_for, and what a transfer brings.

create or replace function credits_private.grant_entitlement(
  p_user_id uuid,
  p_entitlement text,
  p_active_until timestamptz,
  p_granted_by text
)
  returns public.user_entitlements
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_row public.user_entitlements;
  v_now pg_catalog.timestamptz;
begin
  if (length(p_entitlement) between 1 and 100) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'entitlement', 'length', length(p_entitlement)),
      hint = 'An entitlement is a word of 1 to 100 characters.';
  end if;
  perform credits_private.lock_account(p_user_id);
  v_now := credits_private.now();
  insert into public.user_entitlements as e (
    user_id, entitlement, active_until, source, granted_by, granted_until, updated_at, active_since,
    transferred_at
  )
  values (
    p_user_id, p_entitlement, p_active_until, p_granted_by, p_granted_by, p_active_until, v_now, v_now,
    case when p_granted_by = 'transfer' then v_now end
  )
  on conflict (user_id, entitlement) do update
  set
    granted_by = excluded.granted_by,
    granted_until = case
      when excluded.granted_by = 'transfer' and e.granted_by is not null
        then nullif(greatest(coalesce(e.granted_until, 'infinity'), coalesce(excluded.granted_until, 'infinity')), 'infinity')
      else excluded.granted_until
    end;
  perform credits_private.refresh_entitlements(p_user_id, array[p_entitlement]);
  select e.* into v_row
  from public.user_entitlements as e
  where e.user_id = p_user_id and e.entitlement = p_entitlement;
  return v_row;
end;
$$;

comment on function credits_private.grant_entitlement(uuid, text, timestamptz, text) is
  'Grants an entitlement and returns its row. Raises PT401, PT404 account_not_found and 22023 invalid_argument.';

revoke all on function credits_private.grant_entitlement(uuid, text, timestamptz, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/transfer_entitlements.sql
-- transfer_entitlements: moves what users bought in a store to another user, entitlements alone.
--
-- What RevenueCat calls a TRANSFER. Credits stay with who claimed them, spent or not, and so do their refunds: otherwise
-- buying, transferring and restoring would multiply them. A refund or a renewal of the purchase then moves the entitlement of
-- who has it now.

create or replace function credits_private.transfer_entitlements(
  p_user_id uuid,
  p_former uuid[],
  p_store text,
  p_environment text
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_former pg_catalog.uuid[] := array_remove(p_former, p_user_id);
  v_names pg_catalog.text[];
  v_grant pg_catalog.record;
  v_user_id pg_catalog.uuid;
begin
  perform credits_private.lock_account(p_user_id);
  with moved as (
    update credits_private.purchase_claims as c
    set entitled_user_id = nullif(p_user_id, c.user_id)
    where c.store = p_store
      and c.environment = p_environment
      and (c.user_id = any (v_former) and c.entitled_user_id is null or c.entitled_user_id = any (v_former))
    returning c.user_id, c.store, c.environment, c.transaction_id
  )
  select array_agg(distinct n.name) into v_names
  from moved as m
  join public.purchase_transactions as p
    on p.user_id = m.user_id
    and p.store = m.store
    and p.environment = m.environment
    and p.transaction_id = m.transaction_id
  cross join lateral unnest(p.entitlements) as n (name);
  for v_grant in
    update public.user_entitlements as e
    set granted_by = null
    where e.user_id = any (v_former) and e.granted_by = 'transfer'
    returning e.entitlement, e.granted_until
  loop
    perform credits_private.grant_entitlement(p_user_id, v_grant.entitlement, v_grant.granted_until, 'transfer');
    v_names := v_names || v_grant.entitlement;
  end loop;
  for v_user_id in select distinct u.id from unnest(v_former || p_user_id) as u (id) order by u.id loop
    perform credits_private.refresh_entitlements(v_user_id, coalesce(v_names, '{}'));
  end loop;
end;
$$;

comment on function credits_private.transfer_entitlements(uuid, uuid[], text, text) is
  'Moves the entitlements of purchases in a store from some users to another. Credits stay.';

revoke all on function credits_private.transfer_entitlements(uuid, uuid[], text, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/run_parked_events.sql
-- run_parked_events: somebody has appeared; do what waited for them.
--
-- Called by a sign-up with the id of the new user, and when an event teaches a new name. The oldest come first, a hundred
-- at a time; maintenance does the rest. Events that were done before there was a user come too: they may teach names.

create or replace function credits_private.run_parked_events(
  p_names text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event pg_catalog.record;
begin
  for v_event in
    select e.provider, e.event_id
    from credits_private.store_events as e
    where (e.provider, e.event_id) in (
        select p.provider, p.event_id from credits_private.store_event_names as p where p.name = any (p_names)
      )
      and (e.state = 'parked' or e.user_id is null)
    order by e.received_at, e.provider, e.event_id
    limit 100
  loop
    perform credits_private.run_store_event(v_event.provider, v_event.event_id);
  end loop;
end;
$$;

comment on function credits_private.run_parked_events(text[]) is
  'Runs the events that are parked under these names.';

revoke all on function credits_private.run_parked_events(text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/run_due_events.sql
-- run_due_events: tries the events that are due for another try, the longest waiting first.
--
-- For maintenance. Takes no lock of its own on an event: trying one twice at the same time does no harm.

create or replace function credits_private.run_due_events(
  p_limit integer
)
  returns public.maintenance_report
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_report public.maintenance_report := row(0, 0, 0, 0, 0, 0);
  v_now pg_catalog.timestamptz := credits_private.now();
  v_event pg_catalog.record;
  v_tried public.store_event;
begin
  for v_event in
    select e.provider, e.event_id
    from credits_private.store_events as e
    where e.retry_at <= v_now
    order by e.retry_at, e.provider, e.event_id
    limit p_limit
  loop
    v_tried := credits_private.run_store_event(v_event.provider, v_event.event_id);
    if v_tried.state in ('pending', 'parked') then
      v_report.store_events_waiting := v_report.store_events_waiting + 1;
    else
      v_report.store_events := v_report.store_events + 1;
    end if;
    exit when v_tried.details ->> 'sqlstate' = '57014';  -- whoever cancels means the whole call
  end loop;
  return v_report;
end;
$$;

comment on function credits_private.run_due_events(integer) is
  'Tries due events again, at most so many, and says what came of it.';

revoke all on function credits_private.run_due_events(integer) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/set_product.sql
-- set_product: adds a product, or changes what future purchases of it are worth.
--
-- For the owner (credits-db products set and import). All of the row is given anew.

create or replace function credits_private.set_product(
  p_store text,
  p_product_id text,
  p_credits bigint,
  p_bonus_credits bigint,
  p_trial_credits bigint,
  p_price_cents bigint,
  p_currency text,
  p_entitlement text,
  p_expires_after interval,
  p_active_from timestamptz,
  p_active_to timestamptz
)
  returns public.credit_products
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_row public.credit_products;
  v_wrong pg_catalog.text := case
    when (p_store ~ '^[a-z][a-z0-9_]{0,49}$') is not true then 'store'
    when (length(p_product_id) between 1 and 255) is not true then 'product_id'
    when (p_credits between 0 and 1000000000000) is not true then 'credits'
    when (p_bonus_credits between 0 and 1000000000000) is not true then 'bonus_credits'
    when (p_trial_credits between 0 and 1000000000000) is not true then 'trial_credits'
    when p_price_cents not between 0 and 1000000000000 then 'price_cents'
    when (p_price_cents is null) <> (p_currency is null) or p_currency !~ '^[A-Z]{3}$' then 'currency'
    when length(p_entitlement) not between 1 and 100 then 'entitlement'
    when p_expires_after is not null and not credits_private.lasts_between(p_expires_after, '1 hour', '36525 days')
      then 'expires_after'
    when p_active_to <= p_active_from then 'active_to'
  end;
begin
  if v_wrong is not null then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', v_wrong),
      hint = case v_wrong
        when 'store' then 'A store is a word in lowercase: app_store, play_store, stripe, any, ...'
        when 'product_id' then 'A product id has 1 to 255 characters.'
        when 'currency' then 'A price has a currency, three letters in uppercase, and a currency has a price.'
        when 'price_cents' then 'A price is a whole number of the smallest unit, 0 or more.'
        when 'entitlement' then 'An entitlement is a word of 1 to 100 characters.'
        when 'expires_after' then 'Credits last from an hour to 100 years; without expires_after, for ever.'
        when 'active_to' then 'A sale ends after it began.'
        else 'Credits are whole numbers from 0 to 1000000000000.'
      end;
  end if;
  if p_store in ('app_store', 'mac_app_store') and p_expires_after is not null then
    raise exception using
      errcode = 'PT422',
      message = 'expiry_not_allowed',
      detail = json_build_object('store', p_store, 'product_id', p_product_id),
      hint = 'Credits bought through the App Store may not expire (App Review Guidelines 3.1.1).';
  end if;
  insert into public.credit_products as p (
    store, product_id, credits, bonus_credits, trial_credits, price_cents, currency, entitlement, expires_after,
    active_from, active_to
  )
  values (
    p_store, p_product_id, p_credits, p_bonus_credits, p_trial_credits, p_price_cents, p_currency, p_entitlement,
    p_expires_after, p_active_from, p_active_to
  )
  on conflict (store, product_id) do update
  set
    credits = excluded.credits,
    bonus_credits = excluded.bonus_credits,
    trial_credits = excluded.trial_credits,
    price_cents = excluded.price_cents,
    currency = excluded.currency,
    entitlement = excluded.entitlement,
    expires_after = excluded.expires_after,
    active_from = excluded.active_from,
    active_to = excluded.active_to,
    updated_at = excluded.updated_at
  returning p.* into v_row;
  return v_row;
end;
$$;

comment on function credits_private.set_product(
  text, text, bigint, bigint, bigint, bigint, text, text, interval, timestamptz, timestamptz
) is
  'Adds or changes a product and returns it. Raises 22023 invalid_argument and PT422 expiry_not_allowed.';

revoke all on function credits_private.set_product(
  text, text, bigint, bigint, bigint, bigint, text, text, interval, timestamptz, timestamptz
) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/fields/credits_available.sql
-- credits_available: a computed field of user_credits, what may be spent now.
--
-- The columns are as last posted; this takes off what has fallen due since, like get_user_credits. For that it asks
-- whichever of the two reads the caller may execute, and is told about nobody whom the caller may not read.
-- select=*,credits_available through PostgREST, (c).credits_available or credits_available(c) in SQL.

create or replace function public.credits_available(account public.user_credits)
  returns bigint
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_account public.user_credits := account;
begin
  if account.next_due_at is not null then
    if has_function_privilege('public.get_user_credits_for(uuid)', 'execute') then
      v_account := public.get_user_credits_for(account.user_id);
    else
      v_account := credits_private.get_user_credits();
    end if;
    if v_account.user_id <> account.user_id then
      v_account := account;
    end if;
  end if;
  return v_account.credits_remaining - v_account.credits_held;
end;
$$;

comment on function public.credits_available(public.user_credits) is
  'Computed field: the credits that may be spent now, credits_remaining less credits_held and less what has expired.';

revoke all on function public.credits_available(public.user_credits) from public, anon, authenticated, service_role;
grant execute on function public.credits_available(public.user_credits) to authenticated, service_role;
-- end

-- from sql/credits/rpc/add_credits_for.sql
-- add_credits_for: a service gives a user credits.
--
-- Never callable by users: whoever could call it could mint. Send an idempotency key made from what caused the
-- grant (the order, the invoice), and a retry gives nothing twice. With expires_at the credits are a lot: spent
-- before those that last longer, and gone at that instant.

create or replace function public.add_credits_for(
  user_id uuid,
  amount bigint,
  type public.credit_transaction_type default 'bonus',
  expires_at timestamptz default null,
  description text default null,
  metadata jsonb default '{}',
  idempotency_key text default null
)
  returns public.credit_transactions
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.add_credits(user_id, amount, type, expires_at, description, metadata, idempotency_key);
end;
$$;

comment on function public.add_credits_for(uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text) is
  'Add credits to the balance of a user. amount: credits, 1 to 10^12; type: purchase, bonus, signup_bonus, monthly_bonus or admin_adjustment; expires_at: when they expire, null for never. Returns the ledger row; the same idempotency_key returns the same row again. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found, PT422 idempotency_key_reused, expiry_not_allowed or balance_limit, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

revoke all on function public.add_credits_for(uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text) from public, anon, authenticated, service_role;
grant execute on function public.add_credits_for(uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text) to service_role;
-- end

-- from sql/credits/rpc/refund_consumption_for.sql
-- refund_consumption_for: a service gives back what a user had spent.
--
-- For work that failed after it was paid. Whole or in parts, until all is given back; the credits go back into the
-- lots that they came from, with their own expiry, and what has expired meanwhile expires again.

create or replace function public.refund_consumption_for(
  user_id uuid,
  seq bigint,
  amount bigint default null,
  description text default null,
  metadata jsonb default '{}',
  idempotency_key text default null
)
  returns public.credit_transactions
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.refund_consumption(user_id, seq, amount, description, metadata, idempotency_key);
end;
$$;

comment on function public.refund_consumption_for(uuid, bigint, bigint, text, jsonb, text) is
  'Give back the consumption with this seq. amount: credits, or null for all that is left of it. Returns the ledger row; the same idempotency_key returns the same row again. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found or transaction_not_found, PT409 refund_exceeds_consumption, PT422 idempotency_key_reused or balance_limit, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

revoke all on function public.refund_consumption_for(uuid, bigint, bigint, text, jsonb, text)
  from public, anon, authenticated, service_role;
grant execute on function public.refund_consumption_for(uuid, bigint, bigint, text, jsonb, text) to service_role;
-- end

-- from sql/credits/rpc/reserve_credits_for.sql
-- reserve_credits_for: a service sets credits of a user aside for work whose price is not known yet.
--
-- Reserve the most that it may cost, do the work, then capture_hold_for what it did cost, or release_hold_for when
-- it failed. A hold that nobody ends goes free by itself. What is held cannot be spent, and does not expire while
-- it is held.

create or replace function public.reserve_credits_for(
  user_id uuid,
  amount bigint,
  expires_in interval default '15 min',
  description text default null,
  metadata jsonb default '{}',
  idempotency_key text default null
)
  returns public.credit_holds
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.reserve_credits(user_id, amount, expires_in, description, metadata, idempotency_key);
end;
$$;

comment on function public.reserve_credits_for(uuid, bigint, interval, text, jsonb, text) is
  'Set credits aside. amount: credits, 1 to 10^12; expires_in: 1 second to 30 days. Returns the hold; the same idempotency_key returns the same hold again. Raises PT401 not_authenticated for a null user_id, PT402 insufficient_credits, PT404 account_not_found, PT422 idempotency_key_reused, PT429 too_many_holds, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

revoke all on function public.reserve_credits_for(uuid, bigint, interval, text, jsonb, text)
  from public, anon, authenticated, service_role;
grant execute on function public.reserve_credits_for(uuid, bigint, interval, text, jsonb, text) to service_role;
-- end

-- from sql/credits/rpc/capture_hold_for.sql
-- capture_hold_for: a service spends what it had set aside, whole or in part; the rest goes free.
--
-- Once a hold. The same call again, with its idempotency key or without one, answers with the same ledger row.

create or replace function public.capture_hold_for(
  user_id uuid,
  hold_id uuid,
  amount bigint default null,
  description text default null,
  metadata jsonb default '{}',
  idempotency_key text default null
)
  returns public.credit_transactions
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.capture_hold(user_id, hold_id, amount, description, metadata, idempotency_key);
end;
$$;

comment on function public.capture_hold_for(uuid, uuid, bigint, text, jsonb, text) is
  'Spend a hold. amount: credits, at most what is held, or null for all of it. Returns the ledger row; the same call returns the same row again. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found or hold_not_found, PT409 hold_not_active, PT422 idempotency_key_reused, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

revoke all on function public.capture_hold_for(uuid, uuid, bigint, text, jsonb, text)
  from public, anon, authenticated, service_role;
grant execute on function public.capture_hold_for(uuid, uuid, bigint, text, jsonb, text) to service_role;
-- end

-- from sql/credits/rpc/release_hold_for.sql
-- release_hold_for: a service gives back what it had set aside.
--
-- Again, or after the hold has expired, it answers with the hold as it is.

create or replace function public.release_hold_for(
  user_id uuid,
  hold_id uuid
)
  returns public.credit_holds
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.release_hold(user_id, hold_id);
end;
$$;

comment on function public.release_hold_for(uuid, uuid) is
  'Give a hold back. Returns the hold. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found or hold_not_found, PT409 hold_not_active where it was captured.';

revoke all on function public.release_hold_for(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function public.release_hold_for(uuid, uuid) to service_role;
-- end

-- from sql/credits/rpc/set_recurring_grant.sql
-- set_recurring_grant: credits that come again every day, week or month.
--
-- For one user, or for all who hold an entitlement; what is left expires with the period, unless it rolls over.
-- Counts from now on, the present period included, and nobody has to do anything for it: the first spend writes it,
-- or maintenance. Set again under the same name, the new figures hold from the next period on.

create or replace function public.set_recurring_grant(
  name text,
  amount bigint,
  period public.grant_period,
  user_id uuid default null,
  entitlement text default null,
  rollover boolean default false
)
  returns public.recurring_grant
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_nobody constant pg_catalog.uuid := '00000000-0000-0000-0000-000000000000'::pg_catalog.uuid;
  v_grant credits_private.recurring_grants;
  v_old credits_private.recurring_grants;
  v_now pg_catalog.timestamptz;
  v_wrong pg_catalog.text := case
    when (name ~ '^[a-z][a-z0-9_-]{0,49}$') is not true then 'name'
    when period is null then 'period'
    when (user_id is null) = (entitlement is null) or user_id = v_nobody then 'user_id'
    when length(entitlement) not between 1 and 100 then 'entitlement'
    when rollover is null then 'rollover'
  end;
begin
  perform credits_private.check_entry(amount, null, '{}', null);
  if v_wrong is not null then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', v_wrong),
      hint = case v_wrong
        when 'name' then 'A name is a word in lowercase, up to 50 characters: daily, pro-monthly, ...'
        when 'user_id' then 'A grant is for one user or for an entitlement: give one of the two.'
        when 'entitlement' then 'An entitlement is a word of 1 to 100 characters.'
        when 'period' then 'A period is day, week or month.'
        else 'rollover is true or false.'
      end;
  end if;
  -- the same again changes nothing, and waits for nobody
  select g.* into v_old
  from credits_private.recurring_grants as g
  where g.user_id = coalesce(set_recurring_grant.user_id, v_nobody)
    and g.name = set_recurring_grant.name
    and g.ends_at is null
    and (g.entitlement, g.amount, g.period, g.rollover) is not distinct from (
      set_recurring_grant.entitlement, set_recurring_grant.amount, set_recurring_grant.period,
      set_recurring_grant.rollover
    );
  if found then
    return credits_private.show_grant(v_old);
  end if;
  if user_id is not null then
    perform credits_private.lock_account(user_id);
    perform credits_private.settle_account(user_id);
  else
    -- whoever gains the entitlement just now is either seen here or sees this grant; and one call comes after another
    lock table public.user_entitlements in share row exclusive mode;
  end if;
  v_now := credits_private.now();
  select g.* into v_old
  from credits_private.recurring_grants as g
  where g.user_id = coalesce(set_recurring_grant.user_id, v_nobody) and g.name = set_recurring_grant.name
  order by g.starts_at desc
  limit 1
  for update;
  if (v_old.entitlement, v_old.amount, v_old.period, v_old.rollover)
      is not distinct from (entitlement, amount, period, rollover)
    and v_old.ends_at is null
  then
    return credits_private.show_grant(v_old);
  end if;
  v_grant := row(
    coalesce(user_id, v_nobody), name, v_now, null::pg_catalog.timestamptz, entitlement, amount, period, rollover,
    null::pg_catalog.uuid
  );
  if v_old.starts_at > v_now then
    delete from credits_private.recurring_grants as g
    where g.user_id = v_old.user_id and g.name = v_old.name and g.starts_at = v_old.starts_at;
    v_grant.starts_at := v_old.starts_at;
  elsif v_old.name is not null and (v_old.ends_at > v_now) is not false then
    v_grant.starts_at := credits_private.period_after(v_old.period, v_now);
    update credits_private.recurring_grants as g
    set ends_at = v_grant.starts_at
    where g.user_id = v_old.user_id and g.name = v_old.name and g.starts_at = v_old.starts_at;
  elsif v_old.starts_at = v_now then
    -- set and ended at this very instant
    delete from credits_private.recurring_grants as g
    where g.user_id = v_old.user_id and g.name = v_old.name and g.starts_at = v_old.starts_at;
  end if;
  -- who held the old one has its end in next_due_at already
  if user_id is null and (v_grant.starts_at = v_now or v_old.entitlement <> entitlement) then
    v_grant.told_to := v_nobody;
  end if;
  insert into credits_private.recurring_grants as g
  select v_grant.*
  returning g.* into v_grant;
  if user_id is not null then
    perform credits_private.set_due(user_id);
  else
    perform credits_private.tell_holders(null);
    if current_setting('transaction_isolation') <> 'read committed' then
      -- a snapshot from before the lock may miss holders: maintenance tells everybody again
      update credits_private.recurring_grants as g
      set told_to = v_grant.told_to
      where g.user_id = v_grant.user_id and g.name = v_grant.name and g.starts_at = v_grant.starts_at;
    end if;
  end if;
  return credits_private.show_grant(v_grant);
end;
$$;

comment on function public.set_recurring_grant(text, bigint, public.grant_period, uuid, text, boolean) is
  'Give amount credits every period (day, week or month, in UTC) to one user or to all who hold an entitlement. Returns the grant. Raises PT404 account_not_found, 22023 invalid_amount or invalid_argument.';

revoke all on function public.set_recurring_grant(text, bigint, public.grant_period, uuid, text, boolean)
  from public, anon, authenticated, service_role;
grant execute on function public.set_recurring_grant(text, bigint, public.grant_period, uuid, text, boolean) to service_role;
-- end

-- from sql/credits/rpc/end_recurring_grant.sql
-- end_recurring_grant: a recurring grant stops.
--
-- What the present period gave stays, also where nobody has written it yet; no later period is granted.

create or replace function public.end_recurring_grant(
  name text,
  user_id uuid default null
)
  returns public.recurring_grant
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_owner constant pg_catalog.uuid := coalesce(user_id, '00000000-0000-0000-0000-000000000000');
  v_grant credits_private.recurring_grants;
  v_now pg_catalog.timestamptz;
begin
  if user_id is not null then
    perform credits_private.lock_account(user_id);
    perform credits_private.settle_account(user_id);
  end if;
  v_now := credits_private.now();
  delete from credits_private.recurring_grants as g
  where g.user_id = v_owner and g.name = end_recurring_grant.name and g.starts_at > v_now;
  update credits_private.recurring_grants as g
  set ends_at = v_now
  where g.user_id = v_owner and g.name = end_recurring_grant.name and (g.ends_at > v_now) is not false
  returning g.* into v_grant;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'grant_not_found',
      detail = json_build_object('name', name),
      hint = 'No such recurring grant is in force.';
  end if;
  if user_id is not null then
    perform credits_private.set_due(user_id);
  end if;
  return credits_private.show_grant(v_grant);
end;
$$;

comment on function public.end_recurring_grant(text, uuid) is
  'Stop a recurring grant of a user, or of an entitlement where user_id is null. Returns the grant. Raises PT404 grant_not_found or account_not_found.';

revoke all on function public.end_recurring_grant(text, uuid) from public, anon, authenticated, service_role;
grant execute on function public.end_recurring_grant(text, uuid) to service_role;
-- end

-- from sql/credits/rpc/set_alert_for.sql
-- set_alert_for: the balance of a user below which a worker hears of it.
--
-- A spend that takes the balance below queues one low_balance item in the outbox (claim_outbox), once a crossing.

create or replace function public.set_alert_for(
  user_id uuid,
  alert_below bigint default null
)
  returns public.user_credits
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  if abs(alert_below::numeric) > 9007199254740991 then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'alert_below', 'value', alert_below),
      hint = 'alert_below is a balance in credits, or null for no notice.';
  end if;
  perform credits_private.lock_account(user_id);
  update public.user_credits as a
  set alert_below = set_alert_for.alert_below
  where a.user_id = set_alert_for.user_id;
  return credits_private.read_account(user_id);
end;
$$;

comment on function public.set_alert_for(uuid, bigint) is
  'Queue a low_balance item when a spend takes the balance of a user below alert_below, in credits; null for none. Returns the balance row. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found and 22023 invalid_argument.';

revoke all on function public.set_alert_for(uuid, bigint) from public, anon, authenticated, service_role;
grant execute on function public.set_alert_for(uuid, bigint) to service_role;
-- end

-- from sql/credits/rpc/claim_outbox.sql
-- claim_outbox: a worker takes what waits to be done outside of the database.
--
-- The oldest first, and never what another worker has claimed: until the lease runs out an item is handed out to
-- nobody else. A worker that died loses nothing; whoever claims after the lease gets it again, so the work must
-- bear being done twice.

create or replace function public.claim_outbox(
  max_items integer default 100,
  lease interval default '5 min'
)
  returns setof public.outbox_item
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  if (max_items between 1 and 1000) is not true or not credits_private.lasts_between(lease, '1 second', '1 day') then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', case when (max_items between 1 and 1000) is true then 'lease' else 'max_items' end),
      hint = 'One call takes 1 to 1000 items, for 1 second to 1 day.';
  end if;
  return query
  with due as (
    select o.id
    from credits_private.outbox as o
    where o.claimable_at <= v_now
    order by o.claimable_at, o.id
    limit max_items
    for update skip locked
  ),
  claimed as (
    update credits_private.outbox as o
    set claimable_at = credits_private.in_utc(v_now, lease), attempts = o.attempts + 1
    from due as d
    where o.id = d.id
    returning o.*
  )
  select c.id, c.kind, c.user_id, c.payload, c.attempts, c.created_at
  from claimed as c
  order by c.created_at, c.id;
end;
$$;

comment on function public.claim_outbox(integer, interval) is
  'Take what waits to be done outside, at most max_items, for the time of the lease; ack_outbox removes what is done. Raises 22023 invalid_argument.';

revoke all on function public.claim_outbox(integer, interval) from public, anon, authenticated, service_role;
grant execute on function public.claim_outbox(integer, interval) to service_role;
-- end

-- from sql/credits/rpc/ack_outbox.sql
-- ack_outbox: a worker has done what it claimed; it is not handed out again.

create or replace function public.ack_outbox(
  ids uuid[]
)
  returns integer
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_count integer;
begin
  delete from credits_private.outbox as o where o.id = any (ids);
  get diagnostics v_count = row_count;
  return v_count;
end;
$$;

comment on function public.ack_outbox(uuid[]) is
  'Remove what was done from the outbox. Returns how many items that were; one that is gone already is no error.';

revoke all on function public.ack_outbox(uuid[]) from public, anon, authenticated, service_role;
grant execute on function public.ack_outbox(uuid[]) to service_role;
-- end

-- from sql/credits/rpc/run_maintenance.sql
-- run_maintenance: tidies what time and other people left undone.
--
-- Tries the store events that are pending or parked and due, then writes what has fallen due for balances:
-- expiries, holds, recurring grants. Nothing needs it to be correct; it makes things happen sooner. Call it as
-- often and as parallel as you like: it waits for nobody's balance (but for that of a store event), and what it
-- leaves the next call finds. Where pg_cron is, it is called every minute (schedule_maintenance); elsewhere
-- credits-db maintain does.

create or replace function public.run_maintenance(
  max_items integer default 1000
)
  returns public.maintenance_report
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_report public.maintenance_report;
  v_done public.maintenance_report;
  v_left integer;
  v_user_id pg_catalog.uuid;
  v_now pg_catalog.timestamptz;
begin
  if (max_items between 1 and 100000) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'max_items', 'value', max_items),
      hint = 'One call takes 1 to 100000 items.';
  end if;
  v_report := credits_private.run_due_events(max_items);
  v_left := max_items - v_report.store_events - v_report.store_events_waiting;
  perform credits_private.tell_holders(max_items);
  v_now := credits_private.now();
  for v_user_id in
    select a.user_id
    from credits_private.due_accounts as d
    join public.user_credits as a on a.user_id = d.user_id
    join auth.users as u on u.id = d.user_id
    where d.due_at <= v_now
    order by d.due_at
    limit v_left
    for key share of u skip locked
    for no key update of a skip locked
  loop
    v_done := credits_private.settle_due(v_user_id, v_left);
    v_report.accounts := v_report.accounts + v_done.accounts;
    v_report.expirations := v_report.expirations + v_done.expirations;
    v_report.holds := v_report.holds + v_done.holds;
    v_report.grants := v_report.grants + v_done.grants;
    v_left := v_left - greatest(1, v_done.expirations + v_done.holds + v_done.grants);
    exit when v_left <= 0;
  end loop;
  return v_report;
end;
$$;

comment on function public.run_maintenance(integer) is
  'Do what is due, at most max_items of it, and say what was done. Raises 22023 invalid_argument.';

revoke all on function public.run_maintenance(integer) from public, anon, authenticated, service_role;
grant execute on function public.run_maintenance(integer) to service_role;
-- end

-- from sql/credits/private/schedule_maintenance.sql
-- schedule_maintenance: has pg_cron call run_maintenance every minute, where pg_cron is.
--
-- Called by the migration and by every push, so that it also happens when pg_cron comes later. A job of this name
-- that is there already stays as it is: an operator may have changed it. Where there is no pg_cron it does nothing;
-- nothing depends on it.

create or replace function credits_private.schedule_maintenance()
  returns text
  language plpgsql
  volatile
  set search_path = ''
as $$
-- @plpgsql_check_options: performance_warnings = off
declare
  v_name constant pg_catalog.text := 'credits-db maintenance';
  v_is_there boolean;
  v_schema pg_catalog.name;
begin
  if not exists (select from pg_catalog.pg_extension as e where e.extname = 'pg_cron') then
    return null;
  end if;
  select n.nspname into v_schema from pg_catalog.pg_namespace as n where n.nspname = 'cron';
  execute format('select exists (select from %I.job where jobname = $1)', v_schema) into v_is_there using v_name;
  if v_is_there then
    return null;
  end if;
  execute format('select %I.schedule($1, $2, $3)', v_schema) using v_name, '* * * * *', 'select public.run_maintenance()';
  return 'Maintenance is scheduled: pg_cron calls run_maintenance every minute.';
exception
  when insufficient_privilege or undefined_table or undefined_function or invalid_schema_name then
    return 'Maintenance is not scheduled: ' || sqlerrm || '. Run credits-db maintain from time to time.';
end;
$$;

comment on function credits_private.schedule_maintenance() is
  'Schedules run_maintenance with pg_cron where that is installed. What it did, in a sentence, or null where there was nothing to do.';

revoke all on function credits_private.schedule_maintenance() from public, anon, authenticated, service_role;

select credits_private.schedule_maintenance();
-- end

-- from sql/credits/triggers/post_transaction.sql
-- post_transaction: a row added to the ledger moves the balance.
--
-- Fires for rows that arrive without seq, which is how a service (or the owner) adds one by hand. Keeps every rule
-- that the RPCs keep: limits, sign by type, keys, the lock. A used key moves nothing and is left to the unique
-- index, so insert .. on conflict do nothing is a replay. What it takes comes from lots as in a spend. Definer
-- rights: the service that inserts may not touch balances itself.

create or replace function credits_private.post_transaction()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_takes boolean := new.type in ('consumption', 'clawback', 'expiration')
    or new.type = 'admin_adjustment' and new.amount < 0;
begin
  if new.type is null then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'type', 'value', null),
      hint = 'A ledger row says why the balance moves.';
  end if;
  if v_takes and (new.amount between -1000000000000 and -1) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_amount',
      detail = json_build_object('amount', new.amount),
      hint = 'Credits are taken by an amount from -1000000000000 to -1.';
  end if;
  perform credits_private.check_entry(
    case when v_takes then -new.amount else new.amount end,
    new.description, new.metadata, new.idempotency_key
  );
  v_account := credits_private.lock_account(new.user_id);
  if exists (
    select from public.credit_transactions as t
    where t.user_id = new.user_id and t.idempotency_key = new.idempotency_key
  ) then
    v_account.last_seq := v_account.last_seq + 1;
  else
    if exists (
      select from public.credit_holds as h where h.user_id = new.user_id and h.idempotency_key = new.idempotency_key
    ) then
      perform credits_private.refuse_key(new.idempotency_key, null);
    end if;
    perform credits_private.settle_account(new.user_id, case when v_takes then -new.amount else 0 end);
    v_account := credits_private.move_balance(new.user_id, new.type, new.amount);
    if v_takes and v_account.next_due_at is not null then
      if new.type in ('consumption', 'expiration') then
        perform credits_private.draw_lots(new.user_id, -new.amount, v_account.last_seq, null);
      end if;
      perform credits_private.cover_debt(new.user_id, v_account.last_seq, v_account.last_seq);
    end if;
  end if;
  new.seq := v_account.last_seq;
  new.balance_after := v_account.credits_remaining;
  new.created_at := v_account.updated_at;
  return new;
end;
$$;

comment on function credits_private.post_transaction() is
  'Trigger on credit_transactions: posts a row that arrives without seq. Raises what add_credits_for and consume_credit_for raise.';

revoke all on function credits_private.post_transaction() from public, anon, authenticated, service_role;

create or replace trigger post_transaction
  before insert on public.credit_transactions
  for each row
  when (new.seq is null)
  execute function credits_private.post_transaction();

comment on trigger post_transaction on public.credit_transactions is
  'A row without seq is numbered and moves the balance; a numbered row is taken as it is.';
-- end

-- from sql/credits/triggers/remove_purchases.sql
-- remove_purchases: what an account that has just gone leaves of its purchases.
--
-- Purchases, entitlements and names go with it. Claims stay, closed and without the user, so that nobody is credited
-- for the same transactions again; events keep their figures and lose their bodies, which name people. An entitlement
-- that was transferred stays with who has it.

create or replace function credits_private.remove_purchases()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
declare
  v_name pg_catalog.text := old.user_id::pg_catalog.text;
  v_others pg_catalog.text[] := array(select c.name from credits_private.store_customers as c where c.user_id = old.user_id);
  v_nobody constant pg_catalog.text := '00000000-0000-0000-0000-000000000000';
  v_other pg_catalog.text;
  v_body pg_catalog.text;
  v_event pg_catalog.record;
  v_given pg_catalog.record;
begin
  for v_given in
    select c.entitled_user_id as user_id, n.name, max(coalesce(p.entitled_until, 'infinity')) as until
    from credits_private.purchase_claims as c
    join public.purchase_transactions as p
      on p.user_id = c.user_id
      and p.store = c.store
      and p.environment = c.environment
      and p.transaction_id = c.transaction_id
    cross join lateral unnest(p.entitlements) as n (name)
    where c.user_id = old.user_id and c.entitled_user_id is not null and p.status = 'completed'
    group by c.entitled_user_id, n.name
    order by c.entitled_user_id, n.name
  loop
    update public.user_entitlements as e
    set
      granted_by = coalesce(e.granted_by, 'transfer'),
      granted_until = nullif(
        greatest(v_given.until, case when e.granted_by is not null then coalesce(e.granted_until, 'infinity') end),
        'infinity'
      )
    where e.user_id = v_given.user_id and e.entitlement = v_given.name;
    perform credits_private.refresh_entitlements(v_given.user_id, array[v_given.name]);
  end loop;
  delete from public.user_entitlements as e where e.user_id = old.user_id;
  delete from public.purchase_transactions as p where p.user_id = old.user_id;
  update credits_private.purchase_claims as c
  set user_id = null, is_closed = true
  where c.user_id = old.user_id;
  update credits_private.purchase_claims as c
  set entitled_user_id = '00000000-0000-0000-0000-000000000000'
  where c.entitled_user_id = old.user_id;
  for v_event in
    select e.provider, e.event_id from credits_private.store_events as e where e.user_id = old.user_id
    union
    select n.provider, n.event_id from credits_private.store_event_names as n where n.name = v_name
    union
    select n.provider, n.event_id from credits_private.store_event_names as n where n.name = any (v_others)
  loop
    -- what may be somebody else's goes on, with no name of this user
    select regexp_replace(e.body::pg_catalog.text, v_name, v_nobody, 'gi')
    into v_body
    from credits_private.store_events as e
    where e.provider = v_event.provider and e.event_id = v_event.event_id;
    foreach v_other in array v_others loop
      v_body := replace(v_body, v_other, v_nobody);
    end loop;
    update credits_private.store_events as e
    set body = v_body::pg_catalog.json, retry_at = credits_private.now()
    where e.provider = v_event.provider
      and e.event_id = v_event.event_id
      and e.user_id is null
      and e.state in ('pending', 'parked', 'failed')
      and exists (
        select
        from credits_private.store_event_names as n
        where n.provider = e.provider
          and n.event_id = e.event_id
          and n.name <> v_name
          and exists (
            select
            from auth.users as u
            where u.id = case when n.name like '________-____-____-____-____________' then n.name::pg_catalog.uuid end
          )
      );
    if found then
      delete from credits_private.store_event_names as n
      where n.name = any (v_name || v_others) and n.provider = v_event.provider and n.event_id = v_event.event_id;
      continue;
    end if;
    update credits_private.store_events as e
    set
      user_id = null,
      retry_at = null,
      state = case when e.state in ('pending', 'parked') then 'ignored' else e.state end,
      reason = case when e.state in ('pending', 'parked') then 'account_closed' else e.reason end,
      body = null,
      body_sha256 = coalesce(e.body_sha256, encode(sha256(convert_to(e.body::pg_catalog.text, 'UTF8')), 'hex'))
    where e.provider = v_event.provider and e.event_id = v_event.event_id;
    delete from credits_private.store_event_names as n
    where n.provider = v_event.provider and n.event_id = v_event.event_id;
  end loop;
  delete from credits_private.store_customers as c where c.user_id = old.user_id;
  update credits_private.settings as s
  set value = array_to_string(array_remove(string_to_array(s.value, ','), v_name), ',')
  where s.name = 'sandbox_users' and strpos(s.value, v_name) > 0;
  return null;
end;
$$;

comment on function credits_private.remove_purchases() is
  'Trigger on user_credits: removes purchases and entitlements of a deleted account, closes its claims, and empties its events.';

revoke all on function credits_private.remove_purchases() from public, anon, authenticated, service_role;

create or replace trigger remove_purchases
  after delete on public.user_credits
  for each row
  execute function credits_private.remove_purchases();

alter table public.user_credits enable always trigger remove_purchases;

comment on trigger remove_purchases on public.user_credits is
  'Purchases go with their account; claims stay without it.';
-- end

-- from sql/credits/triggers/remove_lots.sql
-- remove_lots: holds, lots, grants and notices go with the account.

create or replace function credits_private.remove_lots()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  delete from public.credit_holds as h where h.user_id = old.user_id;
  delete from credits_private.hold_lots as h where h.user_id = old.user_id;
  delete from credits_private.lot_allocations as t where t.user_id = old.user_id;
  delete from credits_private.credit_lots as l where l.user_id = old.user_id;
  delete from credits_private.recurring_grants as g where g.user_id = old.user_id and g.entitlement is null;
  update credits_private.recurring_grants as g
  set told_to = '00000000-0000-0000-0000-000000000000'
  where g.told_to = old.user_id;
  delete from credits_private.due_accounts as d where d.user_id = old.user_id;
  delete from credits_private.outbox as o where o.user_id = old.user_id;
  return null;
end;
$$;

comment on function credits_private.remove_lots() is
  'Trigger on user_credits: deletes holds, lots, allocations, grants and notices of a deleted account.';

revoke all on function credits_private.remove_lots() from public, anon, authenticated, service_role;

create or replace trigger remove_lots
  after delete on public.user_credits
  for each row
  execute function credits_private.remove_lots();

alter table public.user_credits enable always trigger remove_lots;

comment on trigger remove_lots on public.user_credits is
  'Holds, lots and grants go with their account.';
-- end

-- from sql/credits/triggers/keep_app_store_credits.sql
-- keep_app_store_credits: what was bought through the App Store never expires, whoever asks.
--
-- Apple's rule (App Review Guidelines 3.1.1), kept where a lot is made, so that neither an RPC nor a product nor
-- the owner by hand goes around it. A grant is such a purchase by its type and the store in its metadata.

create or replace function credits_private.keep_app_store_credits()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  if exists (
    select
    from public.credit_transactions as t
    where t.user_id = new.user_id
      and t.seq = new.seq
      and t.type = 'purchase'
      and lower(t.metadata ->> 'store') in ('app_store', 'mac_app_store')
  ) then
    raise exception using
      errcode = 'PT422',
      message = 'expiry_not_allowed',
      detail = json_build_object('store', 'app_store'),
      hint = 'Credits bought through the App Store may not expire (App Review Guidelines 3.1.1).';
  end if;
  return new;
end;
$$;

comment on function credits_private.keep_app_store_credits() is
  'Trigger on credit_lots: no lot for what the App Store sold. Raises PT422 expiry_not_allowed.';

revoke all on function credits_private.keep_app_store_credits() from public, anon, authenticated, service_role;

create or replace trigger keep_app_store_credits
  before insert or update of user_id, seq on credits_private.credit_lots
  for each row
  execute function credits_private.keep_app_store_credits();

alter table credits_private.credit_lots enable always trigger keep_app_store_credits;

comment on trigger keep_app_store_credits on credits_private.credit_lots is
  'No lot for what the App Store sold.';
-- end

-- check: nobody reads holds yet
do $$
begin
  if not exists (
    select from pg_catalog.pg_class as c where c.oid = 'public.credit_holds'::regclass and c.relrowsecurity
  ) then
    raise exception 'credit_holds has no row level security';
  end if;
end;
$$;
