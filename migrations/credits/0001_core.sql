-- The core: balances, the ledger, purchases, lots and holds, and the RPCs that move them.
--
-- Locks nothing that was there before: what joins it to auth.users comes next.

-- from sql/credits/schemas.sql
-- credits_private: the house behind the door.
--
-- Users and services meet credits-db in schema public: tables that they may read, RPCs that they may
-- call. Everything else (bodies, helpers, settings, the history of migrations) lives here, in a schema
-- that PostgREST must never expose. Usage lets the doors in public that run as their caller (those of
-- users, the webhooks) reach their bodies; it opens nothing by itself, since every object in here is granted by name or
-- not at all.

create schema if not exists credits_private;

comment on schema credits_private is
  'Bodies, helpers and settings of credits-db. Not an API: never expose it through PostgREST.';

revoke all on schema credits_private from public, anon, authenticated, service_role;
grant usage on schema credits_private to anon, authenticated;
-- end

-- from sql/credits/types/credit_transaction_type.sql
-- credit_transaction_type: why a balance moved.
--
-- The sign belongs to the type (verify_ledger proves it): purchase, signup_bonus, monthly_bonus,
-- bonus, refund and clawback_reversal add; consumption, clawback and expiration take; admin_adjustment
-- does either. consumption and refund move used_credits, every other type moves total_credits.

create type public.credit_transaction_type as enum (
  'purchase',
  'signup_bonus',
  'monthly_bonus',
  'bonus',
  'consumption',
  'refund',
  'clawback',
  'clawback_reversal',
  'expiration',
  'admin_adjustment'
);

comment on type public.credit_transaction_type is
  'Why a balance moved. refund gives a consumption back; clawback is the store taking its money back.';

revoke all on type public.credit_transaction_type from public, anon, authenticated, service_role;
grant usage on type public.credit_transaction_type to authenticated, service_role;
-- end

-- from sql/credits/types/credit_usage.sql
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
-- end

-- from sql/credits/types/account_deletion.sql
-- account_deletion: the receipt of delete_user_account.

create type public.account_deletion as (
  user_id uuid,
  deleted_at timestamptz,
  credits_written_off bigint,
  removed jsonb
);

comment on type public.account_deletion is
  'The receipt of a deleted account. A second deletion removes nothing and says so.';
comment on column public.account_deletion.user_id is
  'The user who was deleted; no row of this database names them any more.';
comment on column public.account_deletion.deleted_at is
  'When, by the clock of the database.';
comment on column public.account_deletion.credits_written_off is
  'The balance that was given up, in credits; negative when a debt was.';
comment on column public.account_deletion.removed is
  'Rows removed, table by table: {"auth.users": 1, "public.user_credits": 1, "public.credit_transactions": 12}.';

revoke all on type public.account_deletion from public, anon, authenticated, service_role;
grant usage on type public.account_deletion to authenticated, service_role;
-- end

-- from sql/credits/types/ledger_violation.sql
-- ledger_violation: one broken promise of the books, as verify_ledger reports it.

create type public.ledger_violation as (
  user_id uuid,
  seq bigint,
  rule text,
  expected bigint,
  found bigint,
  hold_id uuid
);

comment on type public.ledger_violation is
  'One place where the books do not add up. No rows from verify_ledger means that they do.';
comment on column public.ledger_violation.user_id is
  'Whose books.';
comment on column public.ledger_violation.seq is
  'The ledger row that is wrong (of a purchase its first, of a lot its grant), or null when it is the balance row or a hold.';
comment on column public.ledger_violation.rule is
  'The rule that is broken: seq_has_gap, balance_breaks_chain, amount_breaks_type, balance_is_not_sum, used_is_not_consumption, last_seq_is_not_last, ledger_without_account, purchase_is_not_its_rows, lot_is_not_its_rows, lot_is_not_its_grant, lot_expired_with_credits, allocation_exceeds_row, refund_is_not_its_parts, refund_exceeds_consumption, lots_exceed_balance, held_is_not_holds, due_is_late, due_is_not_queued, capture_is_not_its_row, capture_exceeds_hold, hold_without_account, hold_is_not_its_lots.';
comment on column public.ledger_violation.expected is
  'The figure that the rule asks for: credits, a number of a row, or seconds since 1970 for an instant.';
comment on column public.ledger_violation.found is
  'The figure that is stored.';
comment on column public.ledger_violation.hold_id is
  'The hold that is wrong, where it is one.';

revoke all on type public.ledger_violation from public, anon, authenticated, service_role;
grant usage on type public.ledger_violation to service_role;
-- end

-- from sql/credits/types/purchase_status.sql
-- purchase_status: how far a purchase has come.
--
-- Not set by whichever event arrived last, but folded from all that is known of the purchase
-- (settle_transaction): paid beats failed, failed beats pending, and refunded is paid with all of it taken back.

create type public.purchase_status as enum (
  'pending',
  'completed',
  'failed',
  'refunded'
);

comment on type public.purchase_status is
  'pending: not paid yet. completed: paid and credited, perhaps refunded in part. failed: never paid. refunded: all of it went back.';

revoke all on type public.purchase_status from public, anon, authenticated, service_role;
grant usage on type public.purchase_status to authenticated, service_role;
-- end

-- from sql/credits/types/store_event_state.sql
-- store_event_state: what became of an event of a store.

create type public.store_event_state as enum (
  'pending',
  'parked',
  'failed',
  'ignored',
  'processed'
);

comment on type public.store_event_state is
  'pending: stored, to be tried again. parked: waits for its user. failed: waits for an operator, the reason says for what. ignored: changes nothing. processed: done.';

revoke all on type public.store_event_state from public, anon, authenticated, service_role;
grant usage on type public.store_event_state to service_role;
-- end

-- from sql/credits/types/store_event.sql
-- store_event: an event of a store and what became of it, without its body.

create type public.store_event as (
  provider text,
  event_id text,
  type text,
  state public.store_event_state,
  reason text,
  details jsonb,
  user_id uuid,
  store text,
  environment text,
  transaction_id text,
  product_id text,
  attempts integer,
  received_at timestamptz,
  processed_at timestamptz
);

comment on type public.store_event is
  'An event of a store and what became of it. The body stays in credits_private.store_events.';
comment on column public.store_event.provider is
  'Who told us: revenuecat or stripe.';
comment on column public.store_event.event_id is
  'The id that the provider gave it, or sha256: and the hash of the body where it has none.';
comment on column public.store_event.type is
  'The provider''s word, for instance INITIAL_PURCHASE or charge.refunded.';
comment on column public.store_event.state is
  'What became of it.';
comment on column public.store_event.reason is
  'Why it is in this state, as a token: unknown_user, unknown_product, wrong_shape, sandbox_denied, ... Null where there is nothing to say.';
comment on column public.store_event.details is
  'The values that the reason is about, a JSON object.';
comment on column public.store_event.user_id is
  'Whose event it is, or null.';
comment on column public.store_event.store is
  'Where the money was paid: app_store, play_store, stripe, ...';
comment on column public.store_event.environment is
  'PRODUCTION or SANDBOX.';
comment on column public.store_event.transaction_id is
  'The store''s name of the transaction.';
comment on column public.store_event.product_id is
  'The store''s name of what was bought.';
comment on column public.store_event.attempts is
  'How often it was tried.';
comment on column public.store_event.received_at is
  'When it first arrived.';
comment on column public.store_event.processed_at is
  'When it reached this state.';

revoke all on type public.store_event from public, anon, authenticated, service_role;
grant usage on type public.store_event to service_role;
-- end

-- from sql/credits/types/store_fact.sql
-- store_fact: one thing that a store says, in one form for all stores.
--
-- The readers (read_revenuecat_event, read_stripe_event) turn a body into these, and everything after them knows
-- no provider any more. A fact says what is so, never what to change, so it may arrive twice, late, or before its cause.

create type credits_private.store_fact as (
  kind text,
  store text,
  environment text,
  transaction_ids text[],
  product_id text,
  names text[],
  stage integer,
  quantity integer,
  is_trial boolean,
  price_cents bigint,
  list_cents bigint,
  currency text,
  entitlements text[],
  until timestamptz,
  ref text,
  cents bigint,
  basis_cents bigint,
  former_names text[],
  source text
);

comment on type credits_private.store_fact is
  'One thing that a store says: payment, refund, refunded, dispute, reversal, period, link, transfer, alias or nothing.';
comment on column credits_private.store_fact.kind is
  'payment: of a product. refund: one, by its id. refunded: all of a charge so far. dispute: of a charge. reversal: a refund taken back. period: until when an entitlement lasts. link: names of one transaction. transfer: to another user. alias: names of one user. nothing.';
comment on column credits_private.store_fact.store is
  'Where the money was paid, in lowercase.';
comment on column credits_private.store_fact.environment is
  'PRODUCTION or SANDBOX.';
comment on column credits_private.store_fact.transaction_ids is
  'The names of the transaction, the preferred one first.';
comment on column credits_private.store_fact.product_id is
  'What was bought; null where the fact is about the whole transaction.';
comment on column credits_private.store_fact.names is
  'Who it may be: ids of users and names of customers, the most telling first.';
comment on column credits_private.store_fact.stage is
  'How far it has come; more wins. payment: 0 pending, 1 failed, 2 paid. refund: 0 not yet, 1 given, 2 failed. dispute: 0 inquiry, 1 opened, 2 money withdrawn, 3 lost, 4 money back or refunded instead, 5 won.';
comment on column credits_private.store_fact.quantity is
  'How many of the product, from 1.';
comment on column credits_private.store_fact.is_trial is
  'Whether the payment opens a free trial.';
comment on column credits_private.store_fact.price_cents is
  'What was paid for the product, in the smallest unit of the currency, without tax on top.';
comment on column credits_private.store_fact.list_cents is
  'What it cost before discounts, to be checked against the product.';
comment on column credits_private.store_fact.currency is
  'The currency of the amounts, three letters in uppercase.';
comment on column credits_private.store_fact.entitlements is
  'Entitlements that the store says come with it.';
comment on column credits_private.store_fact.until is
  'Until when those last, or did; null for ever.';
comment on column credits_private.store_fact.ref is
  'What the fact is named by within its transaction: a refund, charge or dispute. Of nothing: the reason.';
comment on column credits_private.store_fact.cents is
  'How much went back, in the smallest unit; null for all of it.';
comment on column credits_private.store_fact.basis_cents is
  'Of how much that is a part; of a payment: what the whole transaction came to, where that is more than our products.';
comment on column credits_private.store_fact.former_names is
  'Of a transfer: whose it was.';
comment on column credits_private.store_fact.source is
  'Of a payment: what says so, as in purchase_claims.';

revoke all on type credits_private.store_fact from public, anon, authenticated, service_role;
-- end

-- from sql/credits/types/maintenance_report.sql
-- maintenance_report: what one call of run_maintenance did.

create type public.maintenance_report as (
  store_events integer,
  store_events_waiting integer,
  accounts integer,
  expirations integer,
  holds integer,
  grants integer
);

comment on type public.maintenance_report is
  'What one call of run_maintenance did. Nothing done and nothing waiting is the good answer.';
comment on column public.maintenance_report.store_events is
  'Store events that were pending or parked and are no more.';
comment on column public.maintenance_report.store_events_waiting is
  'Store events that were tried and wait on.';
comment on column public.maintenance_report.accounts is
  'Balances for which something had fallen due.';
comment on column public.maintenance_report.expirations is
  'Lots that expired with credits in them: ledger rows written.';
comment on column public.maintenance_report.holds is
  'Holds that expired.';
comment on column public.maintenance_report.grants is
  'Recurring grants that were due: ledger rows written.';

revoke all on type public.maintenance_report from public, anon, authenticated, service_role;
grant usage on type public.maintenance_report to service_role;
-- end

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
  'What to do: low_balance or remove_file.';
comment on column public.outbox_item.user_id is
  'Whom it is about; null for a file to remove.';
comment on column public.outbox_item.payload is
  'low_balance: {"credits_remaining": 2, "alert_below": 5, "seq": 7}, the balance after the spend of ledger row seq. remove_file: {"path": "ada/cat.png", "owner": "..."}, the file of a deleted row, and the id of the user whose project it was, or null.';
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

-- from sql/credits/tables/migrations.sql
-- migrations: which migrations this database has, and with which text.
--
-- Written in the transaction of the migration itself, by credits-db push or by the exported file, so a row is
-- there if and only if its migration is. The checksum is what tells an edited file from the one that was applied.

create table credits_private.migrations (
  id text primary key,
  sha256 text not null,
  applied_at timestamptz not null default clock_timestamp(),
  applied_by text not null default session_user
);

comment on table credits_private.migrations is
  'The migrations that this database has, one row each, written in the transaction of the migration.';
comment on column credits_private.migrations.id is
  'The name of the file without its ending.';
comment on column credits_private.migrations.sha256 is
  'SHA-256 of the file as it was applied, in hex.';
comment on column credits_private.migrations.applied_at is
  'When it was applied.';
comment on column credits_private.migrations.applied_by is
  'The role that was logged in.';

revoke all on table credits_private.migrations from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/yoyo.sql
-- The tables of yoyo, version 2, so that `yoyo list` agrees with credits-db status.
--
-- record_migration writes a row of _yoyo_migration and of _yoyo_log beside its own; yoyo_lock stays empty, because
-- push uses an advisory lock that cannot be left behind. Names are yoyo's, and so are instants without a time zone.

create table credits_private._yoyo_migration (
  migration_hash text primary key,
  migration_id text,
  -- squawk-ignore prefer-timestamp-tz
  applied_at_utc timestamp
);

create table credits_private._yoyo_log (
  id text primary key,
  migration_hash text,
  migration_id text,
  operation text,
  username text,
  hostname text,
  comment text,
  -- squawk-ignore prefer-timestamp-tz
  created_at_utc timestamp
);

create table credits_private._yoyo_version (
  version bigint primary key,
  -- squawk-ignore prefer-timestamp-tz
  installed_at_utc timestamp
);

create table credits_private.yoyo_lock (
  locked bigint primary key default 1,
  -- squawk-ignore prefer-timestamp-tz
  ctime timestamp,
  pid bigint not null
);

insert into credits_private._yoyo_version (version, installed_at_utc)
values (2, timezone('utc', now()));

comment on table credits_private._yoyo_migration is
  'What yoyo takes for applied; written by record_migration.';
comment on table credits_private._yoyo_log is
  'The log of yoyo; written by record_migration.';
comment on table credits_private._yoyo_version is
  'The version of yoyo''s own tables.';
comment on table credits_private.yoyo_lock is
  'The lock of yoyo; credits-db push does not use it.';

revoke all on table
  credits_private._yoyo_migration,
  credits_private._yoyo_log,
  credits_private._yoyo_version,
  credits_private.yoyo_lock
from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/record_migration.sql
-- record_migration: notes that a migration was applied, for us and for yoyo.
--
-- Called by credits-db push and by exported files, as the last statement of the migration's own transaction.

create or replace function credits_private.record_migration(
  p_id text,
  p_sha256 text,
  p_user text,
  p_host text
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_hash pg_catalog.text := encode(sha256(convert_to(p_id, 'UTF8')), 'hex');
  v_now pg_catalog.timestamp := timezone('utc', clock_timestamp());
begin
  insert into credits_private.migrations (id, sha256) values (p_id, p_sha256);
  insert into credits_private._yoyo_migration (migration_hash, migration_id, applied_at_utc)
  values (v_hash, p_id, v_now);
  insert into credits_private._yoyo_log (id, migration_hash, migration_id, operation, username, hostname, created_at_utc)
  values (gen_random_uuid()::pg_catalog.text, v_hash, p_id, 'apply', p_user, p_host, v_now);
end;
$$;

comment on function credits_private.record_migration(text, text, text, text) is
  'Notes that a migration was applied: its name, the SHA-256 of its file, and who applied it from where.';

revoke all on function credits_private.record_migration(text, text, text, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/now.sql
-- now: the one clock of credits-db.
--
-- Everything that stamps or compares time asks here, after the lock that orders the operation, so it is
-- clock_timestamp() and not the start of the transaction. Tests replace this function to move time; no
-- setting of a session can, and `credits-db verify` reports a clock that is not this one.

create or replace function credits_private.now()
  returns timestamptz
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  return clock_timestamp();
end;
$$;

comment on function credits_private.now() is
  'The clock of credits-db: the real time, also inside a long transaction.';

revoke all on function credits_private.now() from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/adopted_relations.sql
-- adopted_relations: what was in the database before credits-db, and is used as it is.
--
-- Such a relation keeps its rows, policies, grants, triggers and indexes; what was missing of ours is added, nothing is
-- taken away. Written by the file of the relation before it would be created; verify looks less closely at what is here.

create table credits_private.adopted_relations (
  relation text primary key,
  adopted_at timestamptz not null default credits_private.now(),
  had_policies boolean not null default false
);

comment on table credits_private.adopted_relations is
  'Tables and views that were here before credits-db, which it uses as they are.';
comment on column credits_private.adopted_relations.relation is
  'Schema and name: public.projects.';
comment on column credits_private.adopted_relations.adopted_at is
  'When credits-db came to it.';
comment on column credits_private.adopted_relations.had_policies is
  'Whether it had row level security: then who may do what with it stays the host''s business.';

revoke all on table credits_private.adopted_relations from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/is_adopted.sql
-- is_adopted: was this relation here before credits-db?

create or replace function credits_private.is_adopted(p_relation text)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return exists (select from credits_private.adopted_relations as r where r.relation = p_relation);
end;
$$;

comment on function credits_private.is_adopted(text) is
  'Whether a relation, named with its schema, is the host''s own and not credits-db''s.';

revoke all on function credits_private.is_adopted(text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/keeps_policies.sql
-- keeps_policies: has the host said already who may do what with this table?
--
-- For the files of policies: they add nothing to those of a table that had row level security before credits-db.

create or replace function credits_private.keeps_policies(p_relation text)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return exists (
    select from credits_private.adopted_relations as r where r.relation = p_relation and r.had_policies
  );
end;
$$;

comment on function credits_private.keeps_policies(text) is
  'Whether a relation, named with its schema, was here before and had row level security.';

revoke all on function credits_private.keeps_policies(text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/repoint.sql
-- repoint: a column refers to a table, and its row goes with the one that it refers to.
--
-- For the files of references: whatever foreign key the column had, under whatever name, makes room, unless it is
-- this one already. NOT VALID, so that the rows which are there are not looked at under the lock: a later migration
-- validates them.

create or replace function credits_private.repoint(
  p_table regclass,
  p_column name,
  p_target regclass
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_key pg_catalog.record;
  v_found boolean := false::boolean;
begin
  for v_key in
    select k.conname as key_name, k.confrelid = p_target and k.confdeltype = 'c' as fits
    from pg_catalog.pg_constraint as k
    join pg_catalog.pg_attribute as a on a.attrelid = k.conrelid and k.conkey = array[a.attnum]
    where k.conrelid = p_table and k.contype = 'f' and a.attname = p_column
    order by k.conname
  loop
    if v_key.fits and not v_found then
      v_found := true;
    else
      execute format('alter table %s drop constraint %I', p_table, v_key.key_name);
    end if;
  end loop;
  if not v_found then
    execute format(
      'alter table %s add foreign key (%I) references %s (id) on delete cascade not valid', p_table, p_column, p_target
    );
  end if;
end;
$$;

comment on function credits_private.repoint(regclass, name, regclass) is
  'Makes the one foreign key of a column lead to the id of a table, on delete cascade. Existing rows are not looked at.';

revoke all on function credits_private.repoint(regclass, name, regclass) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/settings.sql
-- settings: what an operator may choose.
--
-- Rows, because a hosted database takes no custom parameters. Each row carries its own type and bounds,
-- so that a wrong value cannot be stored by any path. Changed by set_setting (credits-db settings set),
-- read when an account is opened and when a store calls, never while credits are spent.

create table credits_private.settings (
  name text primary key,
  value text not null,
  kind text not null,
  minimum bigint,
  maximum bigint,
  description text not null,
  pattern text,
  constraint settings_value_fits_kind check (
    case kind
      when 'integer' then value ~ '^[0-9]{1,15}$' and value::bigint between minimum and maximum
      when 'switch' then value in ('on', 'off')
      when 'text' then value ~ pattern and length(value) <= 10000
      else false
    end
  )
);

comment on table credits_private.settings is
  'What an operator may choose, one row a setting. Change it with credits-db settings set.';
comment on column credits_private.settings.name is
  'The word for it, the same in SQL, CLI and docs.';
comment on column credits_private.settings.value is
  'The present choice, as text: digits for an integer, on or off for a switch, what the pattern allows for a text.';
comment on column credits_private.settings.kind is
  'integer, switch or text.';
comment on column credits_private.settings.minimum is
  'The smallest integer allowed.';
comment on column credits_private.settings.maximum is
  'The largest integer allowed.';
comment on column credits_private.settings.description is
  'What it does, in a sentence.';
comment on column credits_private.settings.pattern is
  'The regular expression that a text matches.';

revoke all on table credits_private.settings from public, anon, authenticated, service_role;

insert into credits_private.settings (name, value, kind, minimum, maximum, pattern, description)
values
  ('signup_bonus', '3', 'integer', 0, 1000000, null, 'Credits that a new account starts with; anonymous users get them when they convert.'),
  ('user_spending', 'on', 'switch', null, null, null, 'Whether users may call consume_credit themselves; off when only the server may name a price.'),
  ('notify_changes', 'off', 'switch', null, null, null, 'Whether each transaction that changes a balance notifies the channel credits_changed, which makes commits wait for each other.'),
  ('sandbox', 'deny', 'text', null, null, '^(deny|allow_listed|allow)$', 'Who gets credits for test purchases: nobody (deny), the users in sandbox_users (allow_listed), or everybody (allow).'),
  ('sandbox_users', '', 'text', null, null, '^([0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}(,|$))*$', 'Ids of the users who get credits for test purchases while sandbox is allow_listed, separated by commas.'),
  ('max_active_holds', '100', 'integer', 1, 100000, null, 'How many active holds a user may have at once.'),
  ('webhook_tolerance', '300', 'integer', 1, 86400, null, 'How many seconds the timestamp of a signed webhook may be off, either way.'),
  ('revenuecat_signature_header', 'x-revenuecat-webhook-signature', 'text', null, null, '^[a-z0-9-]{1,100}$', 'The header in which RevenueCat signs, in lowercase.')
on conflict (name) do nothing;
-- end

-- from sql/credits/private/set_setting.sql
-- set_setting: changes one setting and does at once what it means.
--
-- For the owner (credits-db settings set). user_spending is a privilege, not a flag that somebody would
-- have to look at: off takes EXECUTE on consume_credit from authenticated, on gives it. rpc/consume_credit.sql
-- ends by setting it to what it is, so a migration that replaces the function does not overrule the operator.
-- notify_changes is a trigger, enabled or not. Switching it keeps writers off user_credits for an instant; where one of
-- them is at it for longer than a second, the switch gives up (55P03), since every spend would wait behind it.

create or replace function credits_private.set_setting(
  p_name text,
  p_value text
)
  returns credits_private.settings
  language plpgsql
  volatile
  set search_path = ''
  set lock_timeout = '1s'
as $$
declare
  v_setting credits_private.settings;
begin
  select s.* into v_setting from credits_private.settings as s where s.name = p_name for update;
  if not found then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'name', 'value', p_name),
      hint = 'There is no such setting: credits-db settings list shows all.';
  end if;
  if (
    case v_setting.kind
      when 'integer' then p_value ~ '^[0-9]{1,15}$' and p_value::bigint between v_setting.minimum and v_setting.maximum
      when 'switch' then p_value in ('on', 'off')
      else p_value ~ v_setting.pattern and length(p_value) <= 10000
    end
  ) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'value', 'value', p_value),
      hint = case v_setting.kind
        when 'integer' then format('%s is a whole number from %s to %s.', p_name, v_setting.minimum, v_setting.maximum)
        when 'switch' then format('%s is on or off.', p_name)
        else format('%s matches %s.', p_name, v_setting.pattern)
      end;
  end if;
  update credits_private.settings as s
  set value = p_value
  where s.name = p_name
  returning s.* into v_setting;
  if p_name = 'user_spending' then
    if p_value = 'on' then
      grant execute on function public.consume_credit(bigint, text, jsonb, text) to authenticated;
      grant execute on function credits_private.consume_credit(bigint, text, jsonb, text) to authenticated;
    else
      revoke execute on function public.consume_credit(bigint, text, jsonb, text) from authenticated;
      revoke execute on function credits_private.consume_credit(bigint, text, jsonb, text) from authenticated;
    end if;
  elsif p_name = 'notify_changes' then
    if p_value = 'on' then
      alter table public.user_credits enable trigger notify_changes;
    else
      alter table public.user_credits disable trigger notify_changes;
    end if;
  end if;
  return v_setting;
end;
$$;

comment on function credits_private.set_setting(text, text) is
  'Changes a setting and returns it. Raises 22023 invalid_argument for an unknown name or a value out of bounds, and 55P03 where notify_changes has to wait for longer than a second.';

revoke all on function credits_private.set_setting(text, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/user_credits.sql
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
-- end

-- from sql/credits/tables/credit_transactions.sql
-- credit_transactions: the ledger, one row for every movement of a balance, for ever.
--
-- Append-only for every role, the owner included (keep_ledger); a row goes only when its whole account is
-- gone. seq counts 1, 2, 3 for each user without a gap, and balance_after continues the row before it, so
-- a row that is missing or edited shows. A service may insert a row without seq: post_transaction numbers
-- it and moves the balance. A row that comes with its seq (the engine's, a restore's) is taken as it is.
-- What every spend pays for stays small: no foreign key (close_account takes the rows when the account
-- goes), no index but its two keys, one short check; the engine and the trigger keep the other rules, and
-- verify_ledger proves them. The three defaults are nulls that the trigger replaces: with a default, generated types let
-- a service leave these columns out, as it must. Keys compare by byte: an operating system that sorts words anew must
-- not break the index that knows them.

create table public.credit_transactions (
  user_id uuid not null,
  seq bigint not null default nullif(0, 0),
  amount bigint not null,
  balance_after bigint not null default nullif(0, 0),
  created_at timestamptz not null default nullif('infinity'::timestamptz, 'infinity'),
  type public.credit_transaction_type not null,
  idempotency_key text collate "C",
  description text,
  metadata jsonb not null default '{}',
  constraint credit_transactions_pkey primary key (user_id, seq),
  constraint credit_transactions_idempotency_key unique (user_id, idempotency_key),
  constraint credit_transactions_amount_not_zero check (amount <> 0)
);

-- While most users have one row, statistics would send a look-up of one row of the others through all of theirs.
alter table public.credit_transactions
  alter column user_id set (n_distinct = -0.01);

comment on table public.credit_transactions is
  'The ledger: every movement of every balance, append-only. Users read their own rows, newest first by seq.';
comment on column public.credit_transactions.user_id is
  'Whose balance moved.';
comment on column public.credit_transactions.seq is
  'The number of the row within its user, from 1 without a gap. Order is seq, not created_at.';
comment on column public.credit_transactions.amount is
  'Credits: positive added, negative taken, never 0, at most 10^12 either way.';
comment on column public.credit_transactions.balance_after is
  'The balance in credits once this row was posted.';
comment on column public.credit_transactions.created_at is
  'When it was posted, taken while the balance was locked.';
comment on column public.credit_transactions.type is
  'Why the balance moved.';
comment on column public.credit_transactions.idempotency_key is
  'The caller''s name for the operation, 1 to 255 characters, once a user; a replay answers with this row. Keys that begin with credits: are the package''s own.';
comment on column public.credit_transactions.description is
  'A sentence for the user''s history, up to 500 characters.';
comment on column public.credit_transactions.metadata is
  'A JSON object of the caller''s, up to 4 kB.';

alter table public.credit_transactions enable row level security;

revoke all on table public.credit_transactions from public, anon, authenticated, service_role;
grant select on table public.credit_transactions to authenticated, service_role;
grant insert (user_id, type, amount, description, metadata, idempotency_key) on table public.credit_transactions to service_role;
-- end

-- from sql/credits/tables/credit_products.sql
-- credit_products: what is sold, and what it is worth in credits.
--
-- Written by set_product (credits-db products set). A product is looked up by its store first and as 'any' next,
-- so one row can serve all stores. Changing or removing it changes nothing that was bought: a purchase keeps the
-- figures of its day.

create table public.credit_products (
  store text not null default 'any',
  product_id text not null,
  credits bigint not null,
  bonus_credits bigint not null default 0,
  trial_credits bigint not null default 0,
  price_cents bigint,
  currency text,
  entitlement text,
  expires_after interval,
  active_from timestamptz,
  active_to timestamptz,
  updated_at timestamptz not null default credits_private.now(),
  constraint credit_products_pkey primary key (store, product_id),
  constraint credit_products_credits_in_range check (
    -- no between: a dump and restore would write it down in other words
    least(credits, bonus_credits, trial_credits) >= 0
    and greatest(credits, bonus_credits, trial_credits) <= 1000000000000
  ),
  constraint credit_products_price_has_currency check ((price_cents is null) = (currency is null) and price_cents >= 0)
);

comment on table public.credit_products is
  'What is sold, and what it is worth in credits. Users see what is on sale.';
comment on column public.credit_products.store is
  'app_store, play_store, amazon, stripe, rc_billing, paddle, a word of your own, or any.';
comment on column public.credit_products.product_id is
  'What the store calls it: a product of App Store Connect, a price of Stripe, ...';
comment on column public.credit_products.credits is
  'Credits for one of it; 0 where it only gives an entitlement.';
comment on column public.credit_products.bonus_credits is
  'Credits on top.';
comment on column public.credit_products.trial_credits is
  'Credits for a free trial of it, instead of the others.';
comment on column public.credit_products.price_cents is
  'What one must have cost at least, before discounts, in the smallest unit of the currency; null for no check, as for app stores, whose prices differ by country.';
comment on column public.credit_products.currency is
  'The currency of price_cents, three letters in uppercase.';
comment on column public.credit_products.entitlement is
  'The entitlement that comes with it, or null.';
comment on column public.credit_products.expires_after is
  'How long its credits last; null for ever.';
comment on column public.credit_products.active_from is
  'Since when it is on sale; null for always.';
comment on column public.credit_products.active_to is
  'Until when it is on sale, that instant not included; null for no end.';
comment on column public.credit_products.updated_at is
  'When it was last changed.';

alter table public.credit_products enable row level security;

revoke all on table public.credit_products from public, anon, authenticated, service_role;
grant select on table public.credit_products to anon, authenticated, service_role;
-- end

-- from sql/credits/tables/purchase_transactions.sql
-- purchase_transactions: one row for each product bought in a transaction of a store.
--
-- Read by its user and by services; written by record_payment and settle_transaction alone, under the lock of the
-- balance. Keeps its own figures: what the product was worth on that day, what was paid, what went back. credits less
-- refunded_credits is the sum of its ledger rows (verify_ledger proves it). Goes with its account (close_account).

create table public.purchase_transactions (
  user_id uuid not null,
  store text not null,
  environment text not null,
  transaction_id text not null,
  product_id text not null,
  provider text not null,
  status public.purchase_status not null,
  credits bigint not null,
  refunded_credits bigint not null default 0,
  -- squawk-ignore prefer-bigint-over-int
  quantity integer not null default 1,
  price_cents bigint,
  currency text,
  entitlements text[] not null default '{}',
  entitled_until timestamptz,
  seq bigint,
  payload jsonb not null default '{}',
  verified_at timestamptz,
  created_at timestamptz not null,
  credits_expire_at timestamptz,
  constraint purchase_transactions_pkey primary key (user_id, store, environment, transaction_id, product_id),
  constraint purchase_transactions_refund_in_range check (refunded_credits between 0 and credits)
);

comment on table public.purchase_transactions is
  'What users bought, one row for each product of a store''s transaction. Users read their own rows, all columns but payload.';
comment on column public.purchase_transactions.user_id is
  'Who claimed the transaction, and got its credits.';
comment on column public.purchase_transactions.store is
  'Where the money was paid: app_store, play_store, stripe, ...';
comment on column public.purchase_transactions.environment is
  'PRODUCTION or SANDBOX.';
comment on column public.purchase_transactions.transaction_id is
  'The store''s name of the transaction: credited once for the whole database.';
comment on column public.purchase_transactions.product_id is
  'What was bought.';
comment on column public.purchase_transactions.provider is
  'Who told us first: revenuecat, stripe or manual.';
comment on column public.purchase_transactions.status is
  'How far it has come.';
comment on column public.purchase_transactions.credits is
  'What it is worth in credits, bonus and quantity counted in, as of the day it was recorded.';
comment on column public.purchase_transactions.refunded_credits is
  'How many of those the store has taken back, by refunds and disputes.';
comment on column public.purchase_transactions.quantity is
  'How many of the product.';
comment on column public.purchase_transactions.price_cents is
  'What was paid for it, in the smallest unit of the currency, without tax on top; null where nobody said.';
comment on column public.purchase_transactions.currency is
  'The currency of price_cents, three letters in uppercase.';
comment on column public.purchase_transactions.entitlements is
  'The entitlements that came with it.';
comment on column public.purchase_transactions.entitled_until is
  'Until when those last; null for ever.';
comment on column public.purchase_transactions.seq is
  'The ledger row of type purchase; null while unpaid, or where it is worth no credits.';
comment on column public.purchase_transactions.payload is
  'Where it came from: {"event_id": ...}, or what record_purchase_for was given. Not readable by users.';
comment on column public.purchase_transactions.verified_at is
  'When the payment was confirmed; null while unpaid.';
comment on column public.purchase_transactions.created_at is
  'When it was first recorded.';
comment on column public.purchase_transactions.credits_expire_at is
  'When its credits expire; null for never.';

alter table public.purchase_transactions enable row level security;

revoke all on table public.purchase_transactions from public, anon, authenticated, service_role;
grant select on table public.purchase_transactions to service_role;
grant select (
  user_id, store, environment, transaction_id, product_id, provider, status, credits, refunded_credits, quantity,
  price_cents, currency, entitlements, entitled_until, seq, verified_at, created_at, credits_expire_at
) on table public.purchase_transactions to authenticated;
-- end

-- from sql/credits/tables/purchase_claims.sql
-- purchase_claims: whose a transaction of a store is, once for the whole database.
--
-- Taken before anything is credited, and the lock under which all that is known of a transaction is put together.
-- It may come before its user: a refund can arrive first. Stripe has several names for one payment; all but one are
-- rows that lead to it (alias_of). When an account goes its claims stay, closed and without its name, or buying,
-- leaving and restoring would credit twice.

create table credits_private.purchase_claims (
  store text not null,
  environment text not null,
  transaction_id text not null,
  alias_of text,
  user_id uuid,
  source text,
  closed_account_id uuid,
  claimed_at timestamptz,
  entitled_user_id uuid,
  looks bigint not null default 0,
  constraint purchase_claims_pkey primary key (store, environment, transaction_id)
);

create index purchase_claims_user_id on credits_private.purchase_claims (user_id) where user_id is not null;
create index purchase_claims_entitled_user_id on credits_private.purchase_claims (entitled_user_id)
  where entitled_user_id is not null;

comment on table credits_private.purchase_claims is
  'Whose a transaction of a store is, once for the whole database. Outlives the account, without its name.';
comment on column credits_private.purchase_claims.store is
  'Where the money was paid.';
comment on column credits_private.purchase_claims.environment is
  'PRODUCTION or SANDBOX.';
comment on column credits_private.purchase_claims.transaction_id is
  'The store''s name of the transaction.';
comment on column credits_private.purchase_claims.alias_of is
  'The transaction that this is another name of; null for the name that counts.';
comment on column credits_private.purchase_claims.user_id is
  'Who has it; null before anybody has, and after the account was closed.';
comment on column credits_private.purchase_claims.source is
  'Who told us of the payment first: revenuecat, manual, or the kind of Stripe''s object. What another source names in the same transaction is the same purchase, under whatever product name.';
comment on column credits_private.purchase_claims.closed_account_id is
  'The account that had it and is gone, as in closed_accounts: nobody else gets its credits. Null while it is open.';
comment on column credits_private.purchase_claims.claimed_at is
  'When it was claimed.';
comment on column credits_private.purchase_claims.entitled_user_id is
  'Who has its entitlements after a transfer; null for who claimed it, and the id of zeros once that account is gone.';
comment on column credits_private.purchase_claims.looks is
  'How often it was locked to be looked at. Locking writes, so that a transaction with an older snapshot fails (40001) and does not decide on what it cannot see.';

revoke all on table credits_private.purchase_claims from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/purchase_facts.sql
-- purchase_facts: what stores have said about the money of a transaction after it was paid.
--
-- One row a fact, named by what the store names it by, and it only ever grows: stages and sums take the greater.
-- So any order and any repetition of the same events leaves the same rows, and refunded_share folds them into how much
-- of a purchase has gone back. Facts may be here before their purchase.

create table credits_private.purchase_facts (
  store text not null,
  environment text not null,
  transaction_id text not null,
  kind text not null,
  ref text not null,
  product_id text,
  -- squawk-ignore prefer-bigint-over-int
  stage integer not null,
  cents bigint,
  basis_cents bigint,
  currency text,
  credits bigint,
  until timestamptz,
  constraint purchase_facts_pkey primary key (store, environment, transaction_id, kind, ref)
);

comment on table credits_private.purchase_facts is
  'What stores have said about the money of a transaction after it was paid: one row a fact, which only grows.';
comment on column credits_private.purchase_facts.store is
  'Where the money was paid.';
comment on column credits_private.purchase_facts.environment is
  'PRODUCTION or SANDBOX.';
comment on column credits_private.purchase_facts.transaction_id is
  'The transaction, as in purchase_claims.';
comment on column credits_private.purchase_facts.kind is
  'refund, refunded, dispute, reversal or period, as in store_fact; total: what the whole transaction came to.';
comment on column credits_private.purchase_facts.ref is
  'What the store names it by: the id of the refund, charge or dispute.';
comment on column credits_private.purchase_facts.product_id is
  'The product that it is about; null for all of the transaction.';
comment on column credits_private.purchase_facts.stage is
  'The furthest stage that was told, as in store_fact.';
comment on column credits_private.purchase_facts.cents is
  'How much money went back, in the smallest unit; null for all.';
comment on column credits_private.purchase_facts.basis_cents is
  'Of how much that is a part, where the store says so.';
comment on column credits_private.purchase_facts.currency is
  'The currency of cents.';
comment on column credits_private.purchase_facts.credits is
  'How many credits went back, of a refund that was told in credits (refund_purchase).';
comment on column credits_private.purchase_facts.until is
  'Of a period: its end.';

revoke all on table credits_private.purchase_facts from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/user_entitlements.sql
-- user_entitlements: what a user may use, and until when.
--
-- Folded from the purchases that carry an entitlement and are not refunded (refresh_entitlements), one's own or
-- transferred, and from what was granted by hand, whichever lasts longer. Whether it is active is a question of the
-- clock: ask has_entitlement.

create table public.user_entitlements (
  user_id uuid not null,
  entitlement text not null,
  active_until timestamptz,
  source text not null,
  granted_by text,
  granted_until timestamptz,
  updated_at timestamptz not null,
  active_since timestamptz not null default credits_private.now(),
  transferred_at timestamptz,
  constraint user_entitlements_pkey primary key (user_id, entitlement)
);

comment on table public.user_entitlements is
  'What a user may use, and until when. Users read their own rows.';
comment on column public.user_entitlements.user_id is
  'Who may.';
comment on column public.user_entitlements.entitlement is
  'What: the store''s or the product''s word, for instance pro.';
comment on column public.user_entitlements.active_until is
  'Until when, that instant not included; null for ever.';
comment on column public.user_entitlements.source is
  'What makes it last so long: manual, transfer, or the store of a purchase.';
comment on column public.user_entitlements.granted_by is
  'How it came apart from purchases: manual, or transfer where the account that had bought it is gone; null where it did not.';
comment on column public.user_entitlements.granted_until is
  'Until when that lasts; null for ever.';
comment on column public.user_entitlements.updated_at is
  'When the row was last changed.';
comment on column public.user_entitlements.active_since is
  'Since when it has been active without a break.';
comment on column public.user_entitlements.transferred_at is
  'When it came by a transfer, null where it did not: its recurring grants follow with the next period.';

alter table public.user_entitlements enable row level security;

revoke all on table public.user_entitlements from public, anon, authenticated, service_role;
grant select on table public.user_entitlements to authenticated, service_role;
-- end

-- from sql/credits/tables/store_customers.sql
-- store_customers: which user a provider's customer is.
--
-- Learned from events that name both: an anonymous id of RevenueCat beside the id of a user, a customer of Stripe
-- beside a client_reference_id. Later events may name the customer alone. First come, first kept.

create table credits_private.store_customers (
  provider text not null,
  name text not null,
  user_id uuid not null,
  constraint store_customers_pkey primary key (provider, name)
);

create index store_customers_user_id on credits_private.store_customers (user_id);

comment on table credits_private.store_customers is
  'Which user a provider''s customer is, learned from events that name both.';
comment on column credits_private.store_customers.provider is
  'revenuecat or stripe.';
comment on column credits_private.store_customers.name is
  'The provider''s name: $RCAnonymousID:..., cus_...';
comment on column credits_private.store_customers.user_id is
  'The user.';

revoke all on table credits_private.store_customers from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/store_events.sql
-- store_events: the inbox, every event of a provider as it came.
--
-- The body is kept whatever its effect did, so nothing is lost and anything can be run again (reprocess_store_event).
-- An event that did not do its work says why. json, not jsonb: the text to the last byte. When its user goes, the body
-- goes too and leaves its SHA-256 (forget_user).

create table credits_private.store_events (
  provider text not null,
  event_id text not null,
  type text,
  state public.store_event_state not null,
  reason text,
  details jsonb not null default '{}',
  user_id uuid,
  store text,
  environment text,
  transaction_id text,
  product_id text,
  -- squawk-ignore prefer-bigint-over-int
  attempts integer not null default 0,
  received_at timestamptz not null,
  processed_at timestamptz,
  retry_at timestamptz,
  body json,
  body_sha256 text,
  constraint store_events_pkey primary key (provider, event_id)
);

create index store_events_user_id on credits_private.store_events (user_id) where user_id is not null;
create index store_events_retry_at on credits_private.store_events (retry_at) where retry_at is not null;

comment on table credits_private.store_events is
  'The inbox: every event of a provider as it came, and what became of it.';
comment on column credits_private.store_events.provider is
  'revenuecat or stripe.';
comment on column credits_private.store_events.event_id is
  'The provider''s id of it, or sha256: and the hash of the body where it has none.';
comment on column credits_private.store_events.type is
  'The provider''s word for it.';
comment on column credits_private.store_events.state is
  'What became of it.';
comment on column credits_private.store_events.reason is
  'Why it is in this state, as a token.';
comment on column credits_private.store_events.details is
  'The values that the reason is about.';
comment on column credits_private.store_events.user_id is
  'Whose event it is, once that is known.';
comment on column credits_private.store_events.store is
  'Where the money was paid.';
comment on column credits_private.store_events.environment is
  'PRODUCTION or SANDBOX.';
comment on column credits_private.store_events.transaction_id is
  'The transaction that it is about.';
comment on column credits_private.store_events.product_id is
  'The product that it is about.';
comment on column credits_private.store_events.attempts is
  'How often it was tried.';
comment on column credits_private.store_events.received_at is
  'When it first arrived.';
comment on column credits_private.store_events.processed_at is
  'When it reached its present state.';
comment on column credits_private.store_events.retry_at is
  'When maintenance tries it again; null when it does not.';
comment on column credits_private.store_events.body is
  'The body as it came; null once its user is gone.';
comment on column credits_private.store_events.body_sha256 is
  'SHA-256 of a body that was removed, in hex.';

revoke all on table credits_private.store_events from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/store_event_names.sql
-- store_event_names: whom events name, beside their own users.
--
-- A sign-up looks here for the id of the new user, and an event that teaches a new name for that name, so that a purchase
-- made before the account is credited the moment somebody is there to have it. A deletion looks here for bodies that
-- name the user without being theirs.

create table credits_private.store_event_names (
  name text not null,
  provider text not null,
  event_id text not null,
  constraint store_event_names_pkey primary key (name, provider, event_id)
);

create index store_event_names_event_id on credits_private.store_event_names (provider, event_id);

comment on table credits_private.store_event_names is
  'Whom events name, beside their own users: parked events wait under these names.';
comment on column credits_private.store_event_names.name is
  'The id of a user, a provider''s name for one, or an address in lowercase.';
comment on column credits_private.store_event_names.provider is
  'revenuecat or stripe.';
comment on column credits_private.store_event_names.event_id is
  'The event.';

revoke all on table credits_private.store_event_names from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/secrets.sql
-- secrets: what proves that a webhook comes from its provider, and the key under which people are hashed.
--
-- Set by set_secret (credits-db secret set) and read by is_signed alone; no API role reads them, and nothing prints
-- them. A new secret leaves the old one valid for a while, as the providers do when a secret is rolled. identity_key
-- is made here, once, and stays: with another one, whoever left would be a stranger again.

create table credits_private.secrets (
  name text not null,
  value text not null,
  added_at timestamptz not null,
  valid_until timestamptz,
  constraint secrets_pkey primary key (name, value)
);

comment on table credits_private.secrets is
  'What proves that a webhook comes from its provider. Set with credits-db secret set; identity_key is the database''s own.';
comment on column credits_private.secrets.name is
  'stripe, revenuecat (signing secrets), revenuecat_authorization (the static header) or identity_key (identity_hash).';
comment on column credits_private.secrets.value is
  'The secret.';
comment on column credits_private.secrets.added_at is
  'When it was set.';
comment on column credits_private.secrets.valid_until is
  'When it stops being accepted, because a newer one was set; null for the newest.';

revoke all on table credits_private.secrets from public, anon, authenticated, service_role;

insert into credits_private.secrets (name, value, added_at)
values ('identity_key', replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), credits_private.now());
-- end

-- from sql/credits/tables/credit_holds.sql
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
-- the account; what outlives it, a file to remove, waits once, and says whose it was until it is done.

create table credits_private.outbox (
  id uuid not null default gen_random_uuid(),
  kind text not null,
  user_id uuid,
  payload jsonb not null,
  -- squawk-ignore prefer-bigint-over-int
  attempts integer not null default 0,
  created_at timestamptz not null,
  claimable_at timestamptz not null,
  constraint outbox_pkey primary key (id)
);

create index outbox_claimable_at on credits_private.outbox (claimable_at);
create index outbox_user_id on credits_private.outbox (user_id) where user_id is not null;
create unique index outbox_path on credits_private.outbox ((payload ->> 'path')) where kind = 'remove_file';

comment on table credits_private.outbox is
  'What happened here and somebody outside should act on, until they say that they did.';
comment on column credits_private.outbox.id is
  'What ack_outbox takes.';
comment on column credits_private.outbox.kind is
  'What to do: low_balance or remove_file.';
comment on column credits_private.outbox.user_id is
  'Whom it is about; null for a file to remove.';
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

-- from sql/credits/tables/closed_accounts.sql
-- closed_accounts: that an account was deleted, when, and what was given up; not whose.
--
-- The id is random and leads nowhere but to the totals and the claims that the account left. monthly_totals less what
-- was written off here is what living accounts hold, at any time.

create table credits_private.closed_accounts (
  id uuid not null default gen_random_uuid(),
  closed_at date not null,
  credits_written_off bigint not null,
  constraint closed_accounts_pkey primary key (id)
);

comment on table credits_private.closed_accounts is
  'One row for each deleted account, under a random id.';
comment on column credits_private.closed_accounts.id is
  'A random id: closed_account_id of its totals and claims.';
comment on column credits_private.closed_accounts.closed_at is
  'The day on which it was deleted and its credits were written off, in UTC.';
comment on column credits_private.closed_accounts.credits_written_off is
  'The balance that was given up, held credits included; negative when a debt was.';

revoke all on table credits_private.closed_accounts from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/closed_totals.sql
-- closed_totals: what the ledger of a deleted account came to, by month and type.
--
-- Written when the account goes, so that monthly_totals says the same before and after.

create table credits_private.closed_totals (
  closed_account_id uuid not null,
  month date not null,
  type public.credit_transaction_type not null,
  credits bigint not null,
  operations bigint not null,
  constraint closed_totals_pkey primary key (closed_account_id, month, type)
);

comment on table credits_private.closed_totals is
  'The ledgers of deleted accounts, by month and type.';
comment on column credits_private.closed_totals.closed_account_id is
  'The account, as in closed_accounts.';
comment on column credits_private.closed_totals.month is
  'The first day of the month, in UTC.';
comment on column credits_private.closed_totals.type is
  'The type of the ledger rows.';
comment on column credits_private.closed_totals.credits is
  'The sum of their amounts, in credits.';
comment on column credits_private.closed_totals.operations is
  'How many they were.';

revoke all on table credits_private.closed_totals from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/closed_sales.sql
-- closed_sales: what a deleted account had bought, by month and product, without the transactions.
--
-- Written when the account goes, so that monthly_sales says the same before and after.

create table credits_private.closed_sales (
  id uuid not null default gen_random_uuid(),
  closed_account_id uuid not null,
  month date not null,
  store text not null,
  environment text not null,
  product_id text not null,
  status public.purchase_status not null,
  currency text,
  purchases bigint not null,
  quantity bigint not null,
  credits bigint not null,
  refunded_credits bigint not null,
  price_cents bigint,
  constraint closed_sales_pkey primary key (id),
  constraint closed_sales_key unique nulls not distinct (
    closed_account_id, month, store, environment, product_id, status, currency
  )
);

comment on table credits_private.closed_sales is
  'What deleted accounts had bought, by month and product.';
comment on column credits_private.closed_sales.id is
  'A random name: the currency may be null, so the key below is none for a replica.';
comment on column credits_private.closed_sales.closed_account_id is
  'The account, as in closed_accounts.';
comment on column credits_private.closed_sales.month is
  'The first day of the month in which it was recorded, in UTC.';
comment on column credits_private.closed_sales.store is
  'Where the money was paid.';
comment on column credits_private.closed_sales.environment is
  'PRODUCTION or SANDBOX.';
comment on column credits_private.closed_sales.product_id is
  'What was bought.';
comment on column credits_private.closed_sales.status is
  'How far it had come.';
comment on column credits_private.closed_sales.currency is
  'The currency of price_cents, or null where nobody said.';
comment on column credits_private.closed_sales.purchases is
  'How many purchases they were.';
comment on column credits_private.closed_sales.quantity is
  'How many of the product.';
comment on column credits_private.closed_sales.credits is
  'What they were worth, in credits.';
comment on column credits_private.closed_sales.refunded_credits is
  'How many of those the store had taken back.';
comment on column credits_private.closed_sales.price_cents is
  'What was paid, in the smallest unit of the currency; null where nobody said.';

revoke all on table credits_private.closed_sales from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/closed_identities.sql
-- closed_identities: who has left, as keyed hashes.
--
-- The id of every deleted user, their address, and the names that stores had for them (identity_hash). Asked when an
-- account would be opened and when a store's event names nobody who is here, so that nothing late brings somebody back.
-- A day and not an instant, or it would tell which row of closed_accounts is whose.

create table credits_private.closed_identities (
  identity_hash bytea not null,
  closed_at date not null,
  constraint closed_identities_pkey primary key (identity_hash)
);

comment on table credits_private.closed_identities is
  'Who has left: ids of users, addresses and names of customers, as keyed hashes.';
comment on column credits_private.closed_identities.identity_hash is
  'identity_hash of a user, an address or a name.';
comment on column credits_private.closed_identities.closed_at is
  'The day on which the account was deleted, in UTC.';

revoke all on table credits_private.closed_identities from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/bonus_claims.sql
-- bonus_claims: which addresses and phone numbers have had a signup bonus, as keyed hashes.
--
-- Written with the bonus (claim_bonus) and never removed: another spelling of an address, an address that was changed,
-- or leaving and coming back brings no second one.

create table credits_private.bonus_claims (
  identity_hash bytea not null,
  claimed_at date not null,
  constraint bonus_claims_pkey primary key (identity_hash)
);

comment on table credits_private.bonus_claims is
  'Addresses and phone numbers that have had a signup bonus, as keyed hashes; they outlive the account.';
comment on column credits_private.bonus_claims.identity_hash is
  'identity_hash of an address or a phone number.';
comment on column credits_private.bonus_claims.claimed_at is
  'The day on which it had the bonus, in UTC.';

revoke all on table credits_private.bonus_claims from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/personal_data.sql
-- personal_data: where something of a user stands, one row for each table that has it.
--
-- The one list behind the receipt of a deletion and behind export_user_data_for; a test fails where a column that could
-- name a user is in no table of this list. A host may add its own tables: rows with is_erased must go with the user by
-- themselves (a foreign key to auth.users, ON DELETE CASCADE), this list removes nothing.

create table credits_private.personal_data (
  relation text not null,
  predicate text not null,
  concealed text[] not null default '{}',
  is_erased boolean not null default true,
  constraint personal_data_pkey primary key (relation)
);

comment on table credits_private.personal_data is
  'Where something of a user stands, table by table: what a receipt counts and an export shows.';
comment on column credits_private.personal_data.relation is
  'The table with its schema, for instance public.user_credits.';
comment on column credits_private.personal_data.predicate is
  'Which of its rows, as t, are of a user: SQL in which $1 is their id (uuid) and $2 their address in lowercase, or null. A deletion waits for it, so an index should serve it.';
comment on column credits_private.personal_data.concealed is
  'Columns that an export leaves out, as patterns of LIKE: secrets, and what is about others.';
comment on column credits_private.personal_data.is_erased is
  'Whether these rows go with the user, and are counted in the receipt. False: the row stays and no longer names anybody.';

revoke all on table credits_private.personal_data from public, anon, authenticated, service_role;

insert into credits_private.personal_data (relation, predicate, concealed, is_erased)
values
  ('auth.users', 't.id = $1', '{%password%,%token%,%secret%}', true),
  ('public.user_credits', 't.user_id = $1', '{}', true),
  ('public.credit_transactions', 't.user_id = $1', '{}', true),
  ('public.credit_holds', 't.user_id = $1', '{}', true),
  ('public.purchase_transactions', 't.user_id = $1', '{}', true),
  ('public.user_entitlements', 't.user_id = $1', '{}', true),
  ('credits_private.credit_lots', 't.user_id = $1', '{}', true),
  ('credits_private.lot_allocations', 't.user_id = $1', '{}', true),
  ('credits_private.hold_lots', 't.user_id = $1', '{}', true),
  ('credits_private.recurring_grants', 't.user_id = $1', '{told_to}', true),
  ('credits_private.due_accounts', 't.user_id = $1', '{}', true),
  ('credits_private.outbox', 't.user_id = $1', '{}', true),
  ('credits_private.store_customers', 't.user_id = $1', '{}', true),
  (
    'credits_private.store_event_names',
    't.name = any (
      array[$1::pg_catalog.text, $2] || array(select c.name from credits_private.store_customers as c where c.user_id = $1)
    )',
    '{}', true
  ),
  (
    'credits_private.store_events',
    '(t.provider, t.event_id) in (
      select e.provider, e.event_id
      from credits_private.store_events as e
      where e.user_id = $1
      union
      select e.provider, e.event_id
      from credits_private.store_event_names as n
      join credits_private.store_events as e on e.provider = n.provider and e.event_id = n.event_id
      where e.user_id is null
        and n.name = any (
          array[$1::pg_catalog.text, $2] || array(select c.name from credits_private.store_customers as c where c.user_id = $1)
        )
    )',
    '{}', false
  ),
  ('credits_private.purchase_claims', 't.user_id = $1 or t.entitled_user_id = $1', '{user_id,entitled_user_id}', false),
  (
    'credits_private.settings', 't.name = ''sandbox_users'' and $1::pg_catalog.text = any (string_to_array(t.value, '',''))', '{value}', false
  );
-- end

-- from sql/credits/views/monthly_totals.sql
-- monthly_totals: what all ledgers came to, month by month; deleted accounts stay counted.
--
-- For accounts and reports of the owner. Reads the whole ledger. The sum of credits less all that was written off
-- (closed_accounts) is the sum of all balances.

create view credits_private.monthly_totals as
select m.month, m.type, sum(m.credits)::bigint as credits, sum(m.operations)::bigint as operations
from (
  select
    date_trunc('month', t.created_at at time zone 'UTC')::date as month,
    t.type,
    sum(t.amount) as credits,
    count(*) as operations
  from public.credit_transactions as t
  group by 1, 2
  union all
  select c.month, c.type, c.credits, c.operations
  from credits_private.closed_totals as c
) as m
group by m.month, m.type;

comment on view credits_private.monthly_totals is
  'Credits by month and type, of living and deleted accounts together.';
comment on column credits_private.monthly_totals.month is
  'The first day of the month, in UTC.';
comment on column credits_private.monthly_totals.type is
  'The type of the ledger rows.';
comment on column credits_private.monthly_totals.credits is
  'The sum of their amounts, in credits.';
comment on column credits_private.monthly_totals.operations is
  'How many they were.';

revoke all on table credits_private.monthly_totals from public, anon, authenticated, service_role;
-- end

-- from sql/credits/views/monthly_sales.sql
-- monthly_sales: what was bought, month by month and product by product; deleted accounts stay counted.
--
-- For accounts and reports of the owner. Reads all purchases.

create view credits_private.monthly_sales as
select
  m.month, m.store, m.environment, m.product_id, m.status, m.currency,
  sum(m.purchases)::bigint as purchases,
  sum(m.quantity)::bigint as quantity,
  sum(m.credits)::bigint as credits,
  sum(m.refunded_credits)::bigint as refunded_credits,
  sum(m.price_cents)::bigint as price_cents
from (
  select
    date_trunc('month', p.created_at at time zone 'UTC')::date as month,
    p.store, p.environment, p.product_id, p.status, p.currency,
    count(*) as purchases,
    sum(p.quantity) as quantity,
    sum(p.credits) as credits,
    sum(p.refunded_credits) as refunded_credits,
    sum(p.price_cents) as price_cents
  from public.purchase_transactions as p
  group by 1, 2, 3, 4, 5, 6
  union all
  select
    c.month, c.store, c.environment, c.product_id, c.status, c.currency, c.purchases, c.quantity, c.credits,
    c.refunded_credits, c.price_cents
  from credits_private.closed_sales as c
) as m
group by m.month, m.store, m.environment, m.product_id, m.status, m.currency;

comment on view credits_private.monthly_sales is
  'Purchases by month, store, product, status and currency, of living and deleted accounts together.';
comment on column credits_private.monthly_sales.month is
  'The first day of the month in which they were recorded, in UTC.';
comment on column credits_private.monthly_sales.store is
  'Where the money was paid.';
comment on column credits_private.monthly_sales.environment is
  'PRODUCTION or SANDBOX.';
comment on column credits_private.monthly_sales.product_id is
  'What was bought.';
comment on column credits_private.monthly_sales.status is
  'How far they have come, or had when the account was deleted.';
comment on column credits_private.monthly_sales.currency is
  'The currency of price_cents, or null where nobody said.';
comment on column credits_private.monthly_sales.purchases is
  'How many purchases they are.';
comment on column credits_private.monthly_sales.quantity is
  'How many of the product.';
comment on column credits_private.monthly_sales.credits is
  'What they were worth, in credits.';
comment on column credits_private.monthly_sales.refunded_credits is
  'How many of those stores took back.';
comment on column credits_private.monthly_sales.price_cents is
  'What was paid, in the smallest unit of the currency; null where nobody said.';

revoke all on table credits_private.monthly_sales from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/current_user_id.sql
-- current_user_id: who is asking.
--
-- The first statement of every user RPC. The user is who auth.uid() says, read here because auth.uid() fails
-- with a cast error on a sub that is no uuid (Clerk, Firebase): no claims, no sub, or a sub that no uuid could
-- be are all the same refusal, PT401. Types are qualified here and in every body, because an empty search_path
-- still finds temporary types first, and a temporary domain named text would run its check as the owner.

create or replace function credits_private.current_user_id()
  returns uuid
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_sub pg_catalog.text := coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'sub'
  );
begin
  -- the usual form passes without the pattern, which would cost more than all else on the way to the spend
  if (v_sub like '________-____-____-____-____________' and translate(v_sub, '0123456789abcdef', '') = '----')
    or v_sub ~* '^(([0-9a-f]{4}-?){7}[0-9a-f]{4}|\{([0-9a-f]{4}-?){7}[0-9a-f]{4}\})$'
  then
    return v_sub::pg_catalog.uuid;
  end if;
  raise exception using
    errcode = 'PT401',
    message = 'not_authenticated',
    detail = '{}',
    hint = 'Sign in first: this call needs a token whose sub is the id of a user.';
end;
$$;

comment on function credits_private.current_user_id() is
  'The user of this request. Raises PT401 not_authenticated when there is none.';

revoke all on function credits_private.current_user_id() from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/check_entry.sql
-- check_entry: what a caller may write into the ledger.
--
-- Called by every operation that takes these arguments, before it locks anything. The checks of metadata
-- stand in this order for a reason: 4 kB of jsonb can hold numbers that print to megabytes, so size comes
-- first (unpacked: || '{}', since a value from a table may be compressed), numbers that no double could hold
-- next, and the printed length, cheap by then, last.

create or replace function credits_private.check_entry(
  p_amount bigint,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text
)
  returns void
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  if p_amount is null or p_amount not between 1 and 1000000000000 then
    raise exception using
      errcode = '22023',
      message = 'invalid_amount',
      detail = json_build_object('amount', p_amount),
      hint = 'An amount is a whole number of credits from 1 to 1000000000000.';
  end if;
  if p_idempotency_key is not null
    and (length(p_idempotency_key) not between 1 and 255 or starts_with(p_idempotency_key, 'credits:'))
  then
    raise exception using
      errcode = '22023',
      message = 'invalid_idempotency_key',
      detail = json_build_object('length', length(p_idempotency_key)),
      hint = 'An idempotency key has 1 to 255 characters and does not begin with credits: (those are ours).';
  end if;
  if length(p_description) > 500 then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'description', 'length', length(p_description)),
      hint = 'A description has at most 500 characters.';
  end if;
  if p_metadata is null or jsonb_typeof(p_metadata) <> 'object' then
    raise exception using
      errcode = '22023',
      message = 'invalid_metadata',
      detail = '{}',
      hint = 'Metadata is a JSON object; {} when there is nothing to say.';
  end if;
  if pg_column_size(p_metadata || '{}') > 4096
    or jsonb_path_exists(p_metadata, '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))')
    or octet_length(p_metadata::pg_catalog.text) > 16384
  then
    raise exception using
      errcode = '22023',
      message = 'invalid_metadata',
      detail = '{}',
      hint = 'Metadata is an object of at most 4 kB that prints to at most 16 kB, with numbers up to 1e308.';
  end if;
end;
$$;

comment on function credits_private.check_entry(bigint, text, jsonb, text) is
  'Checks amount, description, metadata and key. Raises 22023 invalid_amount, invalid_idempotency_key, invalid_argument or invalid_metadata.';

revoke all on function credits_private.check_entry(bigint, text, jsonb, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/hmac_pads.sql
-- hmac_pads: the two blocks that HMAC makes of a key, for whoever hashes many messages under one.

create or replace function credits_private.hmac_pads(
  p_key bytea
)
  returns bytea[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_key pg_catalog.bytea := case when length(p_key) > 64 then sha256(p_key) else p_key end;
  v_inner pg_catalog.bytea := decode(repeat('36', 64), 'hex');
  v_outer pg_catalog.bytea := decode(repeat('5c', 64), 'hex');
begin
  for v_i in 0 .. length(v_key) - 1 loop
    v_inner := set_byte(v_inner, v_i, get_byte(v_key, v_i) # 54);
    v_outer := set_byte(v_outer, v_i, get_byte(v_key, v_i) # 92);
  end loop;
  return array[v_inner, v_outer];
end;
$$;

comment on function credits_private.hmac_pads(bytea) is
  'The inner and the outer block of a key, 64 bytes each.';

revoke all on function credits_private.hmac_pads(bytea) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/hmac_sha256.sql
-- hmac_sha256: a keyed hash (RFC 2104), in plain SQL.
--
-- For is_signed. Supabase has pgcrypto, other servers need not, and sha256 is in the core of Postgres. A test compares it
-- with Python's for keys and messages of every length around the block of 64 bytes.

create or replace function credits_private.hmac_sha256(
  p_key bytea,
  p_message bytea
)
  returns bytea
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_pads pg_catalog.bytea[] := credits_private.hmac_pads(p_key);
begin
  return sha256(v_pads[2] || sha256(v_pads[1] || p_message));
end;
$$;

comment on function credits_private.hmac_sha256(bytea, bytea) is
  'HMAC-SHA256 of a message, 32 bytes.';

revoke all on function credits_private.hmac_sha256(bytea, bytea) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/identity_key.sql
-- identity_key: the secret under which people are hashed, ready for use.
--
-- Made with the database, never set and never shown. The oldest counts: rows that are restored into a database which was
-- pushed anew bring theirs.

create or replace function credits_private.identity_key()
  returns bytea[]
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return (
    select credits_private.hmac_pads(decode(s.value, 'hex'))
    from credits_private.secrets as s
    where s.name = 'identity_key'
    order by s.added_at
    limit 1
  );
end;
$$;

comment on function credits_private.identity_key() is
  'The secret identity_key, as hmac_pads.';

revoke all on function credits_private.identity_key() from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/identity_hash.sql
-- identity_hash: who somebody is, in a form that tells nobody.
--
-- HMAC-SHA256 under a secret that never leaves this database: without it an address cannot be guessed from its hash.
-- An address counts without its case, its white space, what stands behind a plus, and the dots that Gmail ignores or
-- that end a domain; a phone number by its digits, 00 in front being a plus. Other letters that mean the same (full
-- width, composed or not) are the same. Whoever hashes many passes the key.

create or replace function credits_private.identity_hash(
  p_kind text,
  p_value text,
  p_key bytea[] default null
)
  returns bytea
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_key pg_catalog.bytea[] := coalesce(p_key, credits_private.identity_key());
  v_value pg_catalog.text := p_value;
begin
  if p_kind in ('address', 'phone') and getdatabaseencoding() = 'UTF8' then
    v_value := normalize(v_value, NFKC);
  end if;
  if p_kind = 'address' then
    v_value := rtrim(regexp_replace(lower(v_value), '[[:space:]]', '', 'g'), '.');
    if strpos(v_value, '+') > 0 then
      v_value := regexp_replace(v_value, '^(\+*[^@+]+)\+[^@]*@', '\1@');
    end if;
    if v_value like '%@gmail.com' or v_value like '%@googlemail.com' then
      v_value := replace(split_part(v_value, '@', 1), '.', '') || '@gmail.com';
    end if;
  elsif p_kind = 'phone' then
    v_value := regexp_replace(regexp_replace(v_value, '[^0-9]', '', 'g'), '^00', '');
  end if;
  return case
    when v_value <> '' then sha256(v_key[2] || sha256(v_key[1] || convert_to(p_kind || ':' || v_value, 'UTF8')))
  end;
end;
$$;

comment on function credits_private.identity_hash(text, text, bytea[]) is
  'A keyed hash of a user (their id), an address, a phone number or a name (provider:name); null for nothing.';

revoke all on function credits_private.identity_hash(text, text, bytea[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/bonus_identities.sql
-- bonus_identities: by what a user is known again who comes for a second signup bonus, none to two hashes.

create or replace function credits_private.bonus_identities(
  p_email text,
  p_phone text
)
  returns bytea[]
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_key pg_catalog.bytea[] := credits_private.identity_key();
begin
  return array_remove(
    array[
      credits_private.identity_hash('address', p_email, v_key), credits_private.identity_hash('phone', p_phone, v_key)
    ],
    null
  );
end;
$$;

comment on function credits_private.bonus_identities(text, text) is
  'Hashes of an address and a phone number, as in bonus_claims.';

revoke all on function credits_private.bonus_identities(text, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/claim_bonus.sql
-- claim_bonus: the one signup bonus of an address and a phone number, taken by this user.
--
-- Called with the bonus, with whatever stands in for it, and for a new address of somebody who has an account. Two
-- sign-ups of one address at once: the second waits for the first, then has none. Taken before the balance is locked,
-- as in open_accounts, so that nobody who holds a balance waits for a claim. An anonymous user who brought a balance has
-- had it too (adopt_accounts), though nobody knew an address then.

create or replace function credits_private.claim_bonus(
  p_user_id uuid
)
  returns boolean
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_hashes pg_catalog.bytea[] := (
    select credits_private.bonus_identities(u.email, u.phone) from auth.users as u where u.id = p_user_id
  );
  v_claimed bigint;
begin
  insert into credits_private.bonus_claims (identity_hash, claimed_at)
  select i.hash, (credits_private.now() at time zone 'UTC')::pg_catalog.date
  from unnest(v_hashes) as i (hash)
  order by i.hash
  on conflict (identity_hash) do nothing;
  get diagnostics v_claimed = row_count;
  return v_claimed = cardinality(v_hashes) and not exists (
    select
    from credits_private.bonus_claims as c
    where c.identity_hash = credits_private.identity_hash('user', p_user_id::pg_catalog.text)
  );
end;
$$;

comment on function credits_private.claim_bonus(uuid) is
  'Notes that the address and the phone number of a user have had their signup bonus. True when neither had had it; also for who has neither.';

revoke all on function credits_private.claim_bonus(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/signup_bonus_for.sql
-- signup_bonus_for: what a new account of this user starts with.
--
-- Asked when an account is opened, and by get_user_credits for a user whose account is not open yet, so
-- that both say the same. Looks at auth.users, hence PT404 for a user who does not exist, and PT410 for one who was
-- deleted: softly, or under this same id before. Nothing where the address or the phone number has had it before.

create or replace function credits_private.signup_bonus_for(p_user_id uuid)
  returns bigint
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_bonus bigint;
  v_user pg_catalog.record;
begin
  select u.is_anonymous, u.email, u.phone, u.deleted_at into v_user from auth.users as u where u.id = p_user_id;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'account_not_found',
      detail = '{}',
      hint = 'There is no such user.';
  end if;
  if v_user.deleted_at is not null or exists (
    select
    from credits_private.closed_identities as c
    where c.identity_hash = credits_private.identity_hash('user', p_user_id::pg_catalog.text)
  ) then
    raise exception using
      errcode = 'PT410',
      message = 'account_closed',
      detail = '{}',
      hint = 'This account was deleted.';
  end if;
  if v_user.is_anonymous then
    return 0::bigint;
  end if;
  select s.value::bigint into v_bonus from credits_private.settings as s where s.name = 'signup_bonus';
  if v_bonus > 0 and exists (
    select
    from credits_private.bonus_claims as c
    where c.identity_hash = any (credits_private.bonus_identities(v_user.email, v_user.phone))
  ) then
    return 0::bigint;
  end if;
  return v_bonus;
end;
$$;

comment on function credits_private.signup_bonus_for(uuid) is
  'Credits that a new account of this user starts with: the setting signup_bonus, 0 while anonymous and for an address that has had it. Raises PT404 account_not_found and PT410 account_closed.';

revoke all on function credits_private.signup_bonus_for(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refuse_spend.sql
-- refuse_spend: the one wording of "not enough credits".

create or replace function credits_private.refuse_spend(
  p_account public.user_credits,
  p_amount bigint
)
  returns void
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  raise exception using
    errcode = 'PT402',
    message = 'insufficient_credits',
    detail = json_build_object(
      'amount', p_amount,
      'credits_available', p_account.credits_remaining - p_account.credits_held,
      'credits_remaining', p_account.credits_remaining
    ),
    hint = 'Add credits, or spend fewer.';
end;
$$;

comment on function credits_private.refuse_spend(public.user_credits, bigint) is
  'Raises PT402 insufficient_credits with the amount and what is available; always.';

revoke all on function credits_private.refuse_spend(public.user_credits, bigint) from public, anon, authenticated, service_role;
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

-- from sql/credits/private/credits_before.sql
-- credits_before: what a user had before credits-db, while their account is not open yet.
--
-- For read_account, during the push that takes a live database over: nobody sees less than they had.

create or replace function credits_private.credits_before(p_user_id uuid)
  returns bigint
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_credits bigint;
begin
  if to_regclass('credits_before.balances') is not null then
    begin
      execute format('select b.credits from %s as b where b.user_id = $1', to_regclass('credits_before.balances'))
      into v_credits
      using p_user_id;
    exception
      when undefined_table then  -- the push has ended just now
        return null;
    end;
  end if;
  return v_credits;
end;
$$;

comment on function credits_private.credits_before(uuid) is
  'The balance in credits that a user brings from before; null for who brings none.';

revoke all on function credits_private.credits_before(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/adopt_accounts.sql
-- adopt_accounts: opens the accounts of users who had credits before credits-db, with the balance and the past of before.
--
-- Called by whoever opens accounts, with the users shared. Reads the views that credits-db push made over the tables of
-- before (schema credits_before) and does nothing where there are none, which is nearly always. An opening row, then
-- the old rows in the order of time: together exactly the old balance, and of an app that counted them the old totals. Purchases
-- are claimed, so that a store that tells of one again finds it credited; one that the old ledger has is that row.
-- No signup bonus comes on top, ever.

create or replace function credits_private.adopt_accounts(p_users uuid[])
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_before constant pg_catalog.name := 'credits_before'::pg_catalog.name;
begin
  if to_regclass('credits_before.balances') is null then
    return;
  end if;
  begin
    execute format($adopt$
      with balances as (
        select b.*, least(coalesce(b.created_at, $2), $2) as opened_at
        from %1$I.balances as b
        where b.user_id = any ($1)
          and not exists (select from public.user_credits as a where a.user_id = b.user_id)
      ),
      bought as (
        select distinct on (p.user_id, p.store, p.environment, p.transaction_id, p.product_id)
          p.*, jsonb_build_array(p.store, p.environment, p.transaction_id, p.product_id)::pg_catalog.text as purchase
        from %1$I.purchases as p
        join balances as b on b.user_id = p.user_id
        where p.user_id = any ($1)
        order by p.user_id, p.store, p.environment, p.transaction_id, p.product_id, p.at
      ),
      claimed as (
        insert into credits_private.purchase_claims as c (store, environment, transaction_id, user_id, source, claimed_at)
        select distinct on (p.store, p.environment, p.transaction_id)
          p.store, p.environment, p.transaction_id, p.user_id, 'adopted', coalesce(p.at, $2)
        from bought as p
        order by p.store, p.environment, p.transaction_id, p.user_id
        on conflict (store, environment, transaction_id) do nothing
        returning c.*
      ),
      sales as (
        select
          p.*,
          p.status in ('completed', 'refunded') and p.credits > 0 as is_paid,
          row_number() over (
            partition by p.user_id, p.credits, p.status in ('completed', 'refunded') order by p.at, p.transaction_id, p.product_id
          ) as place
        from bought as p
        join claimed as c
          on (c.store, c.environment, c.transaction_id, c.user_id) = (p.store, p.environment, p.transaction_id, p.user_id)
      ),
      past as (
        select t.*, row_number() over (partition by t.user_id, t.type, t.amount order by t.at, t.id) as place
        from %1$I.transactions as t
        join balances as b on b.user_id = t.user_id
        where t.user_id = any ($1)
      ),
      known (user_id, at, step, id, type, amount, description, metadata, idempotency_key, purchase) as (
        select
          t.user_id,
          t.at,
          1,
          t.id,
          t.type,
          t.amount,
          t.description,
          case
            when p.purchase is null then t.metadata
            else t.metadata || jsonb_build_object(
              'store', p.store, 'environment', p.environment, 'transaction_id', p.transaction_id, 'product_id', p.product_id
            )
          end,
          case
            when p.purchase is null then 'credits:adopted:' || t.id
            else 'credits:purchase:' || encode(sha256(convert_to(p.purchase, 'UTF8')), 'hex')
          end,
          p.purchase
        from past as t
        left join sales as p
          on p.user_id = t.user_id and p.is_paid and t.type = 'purchase' and p.credits = t.amount and p.place = t.place
        union all
        select
          p.user_id,
          p.at,
          s.step,
          p.transaction_id,
          s.type::public.credit_transaction_type,
          s.amount,
          s.description || p.product_id,
          jsonb_build_object(
            'store', p.store, 'environment', p.environment, 'transaction_id', p.transaction_id, 'product_id', p.product_id
          ),
          case when s.step = 1 then 'credits:purchase:' || encode(sha256(convert_to(p.purchase, 'UTF8')), 'hex') end,
          case when s.step = 1 then p.purchase end
        from sales as p
        cross join lateral (
          values (1, 'purchase', p.credits, 'Purchase of '), (2, 'clawback', -p.credits, 'Refund of ')
        ) as s (step, type, amount, description)
        where p.is_paid
          and (
            s.step = 2 and p.status = 'refunded'
            or s.step = 1 and not exists (
              select
              from past as t
              where t.user_id = p.user_id and t.type = 'purchase' and t.amount = p.credits and t.place = p.place
            )
          )
      ),
      sums as (
        select
          k.user_id,
          sum(k.amount) as amount,
          coalesce(sum(k.amount) filter (where k.type in ('consumption', 'refund')), 0) as usage,
          min(k.at) as first_at,
          max(least(k.at, $2)) as last_at
        from known as k
        group by k.user_id
      ),
      entries as (
        select k.*, coalesce(least(k.at, $2), b.opened_at) as created_at
        from known as k
        join balances as b on b.user_id = k.user_id
        union all
        select
          o.*, case when o.step = 3 then greatest(b.opened_at, s.last_at) else least(b.opened_at, s.first_at) end
        from balances as b
        left join sums as s on s.user_id = b.user_id
        cross join lateral (
          select
            case
              when b.total is null then b.credits - coalesce(s.amount, 0)
              else b.total - coalesce(s.amount - s.usage, 0)
            end::bigint as opening,
            (b.credits - b.total - coalesce(s.usage, 0))::bigint as used
        ) as d
        cross join lateral (
          values
            (
              b.user_id, null::pg_catalog.timestamptz, case when d.opening < 0 then 3 else -1 end, '',
              'admin_adjustment'::public.credit_transaction_type, d.opening,
              'Balance before credits-db', '{}'::pg_catalog.jsonb, 'credits:adopted:opening', null
            ),
            (
              b.user_id, null, 0, '',
              case when d.used > 0 then 'refund' else 'consumption' end::public.credit_transaction_type, d.used,
              'Used before credits-db', '{}', 'credits:adopted:used', null
            )
        ) as o (user_id, at, step, id, type, amount, description, metadata, idempotency_key, purchase)
        where o.amount <> 0
      ),
      numbered as (
        select
          e.*,
          row_number() over w as seq,
          sum(e.amount) over w as balance_after
        from entries as e
        window w as (partition by e.user_id order by greatest(least(e.step, 1), e.step - 1), e.created_at, e.step, e.id)
      ),
      opened as (
        insert into public.user_credits as a (
          user_id, credits_remaining, total_credits, used_credits, last_bonus_date, last_purchase_at, last_seq,
          created_at, updated_at
        )
        select
          b.user_id,
          b.credits,
          b.credits + coalesce(n.used, 0),
          coalesce(n.used, 0),
          coalesce(b.last_bonus_date, n.last_bonus_date),
          coalesce(b.last_purchase_at, n.last_purchase_at),
          coalesce(n.last_seq, 0),
          least(b.opened_at, n.first_at),
          coalesce(n.updated_at, b.opened_at)
        from balances as b
        left join (
          select
            e.user_id,
            -sum(e.amount) filter (where e.type in ('consumption', 'refund')) as used,
            max(e.created_at) filter (where e.type = 'monthly_bonus') as last_bonus_date,
            max(e.created_at) filter (where e.type = 'purchase') as last_purchase_at,
            max(e.seq) as last_seq,
            min(e.created_at) as first_at,
            max(e.created_at) as updated_at
          from numbered as e
          group by e.user_id
        ) as n on n.user_id = b.user_id
        on conflict (user_id) do nothing
        returning a.user_id
      ),
      posted as (
        insert into public.credit_transactions (
          user_id, seq, amount, balance_after, created_at, type, idempotency_key, description, metadata
        )
        select
          n.user_id, n.seq, n.amount, n.balance_after, n.created_at, n.type, n.idempotency_key, n.description, n.metadata
        from numbered as n
        join opened as o on o.user_id = n.user_id
      ),
      rewarded as (
        insert into credits_private.bonus_claims (identity_hash, claimed_at)
        select credits_private.identity_hash('user', u.id::pg_catalog.text), ($2 at time zone 'UTC')::pg_catalog.date
        from auth.users as u
        join opened as o on o.user_id = u.id
        where u.is_anonymous
        on conflict (identity_hash) do nothing
      ),
      refunded as (
        insert into credits_private.purchase_facts (store, environment, transaction_id, kind, ref, product_id, stage)
        select p.store, p.environment, p.transaction_id, 'refund', 'adopted:' || p.product_id, p.product_id, 1
        from sales as p
        join opened as o on o.user_id = p.user_id
        where p.status = 'refunded'
        on conflict (store, environment, transaction_id, kind, ref) do nothing
      )
      insert into public.purchase_transactions (
        user_id, store, environment, transaction_id, product_id, provider, status, credits, refunded_credits, price_cents,
        currency, seq, payload, verified_at, created_at
      )
      select
        p.user_id, p.store, p.environment, p.transaction_id, p.product_id, p.provider, p.status, p.credits,
        case when p.status = 'refunded' then p.credits else 0 end,
        p.price_cents, p.currency, n.seq, p.payload,
        case when p.status in ('completed', 'refunded') then coalesce(p.verified_at, p.at, $2) end,
        coalesce(p.created_at, $2)
      from sales as p
      join opened as o on o.user_id = p.user_id
      left join numbered as n on n.user_id = p.user_id and n.purchase = p.purchase
      on conflict (user_id, store, environment, transaction_id, product_id) do nothing
    $adopt$, v_before)
    using p_users, credits_private.now();
  exception
    when undefined_table then  -- the push has ended just now, with an account for everybody
      return;
  end;
end;
$$;

comment on function credits_private.adopt_accounts(uuid[]) is
  'Opens the accounts of those of these users who had credits before credits-db, with their balance and their past.';

revoke all on function credits_private.adopt_accounts(uuid[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/open_account.sql
-- open_account: gives a user their balance row, and the signup bonus once.
--
-- Called by the trigger on auth.users and by the first operation of a user whom the trigger missed. The
-- user is looked up and share-locked first, so an account never outlives a deletion that runs beside it.
-- The bonus is a ledger row with a key of our own: whoever comes twice, at once or later, gets it once; and so does
-- whoever comes again under another id (claim_bonus). Who brings a balance from before has had it.

create or replace function credits_private.open_account(p_user_id uuid)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_bonus bigint;
  v_is_open boolean;
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  if p_user_id is null then
    raise exception using
      errcode = 'PT401',
      message = 'not_authenticated',
      detail = '{}',
      hint = 'The user id is null: nobody is signed in.';
  end if;
  perform from auth.users as u where u.id = p_user_id for key share;
  v_bonus := credits_private.signup_bonus_for(p_user_id);
  v_is_open := exists (select from public.user_credits as a where a.user_id = p_user_id);
  if not v_is_open then
    perform credits_private.adopt_accounts(array[p_user_id]);
  end if;
  if v_bonus > 0 and (
    not credits_private.claim_bonus(p_user_id)
    or not v_is_open and exists (select from public.user_credits as a where a.user_id = p_user_id)
  ) then
    v_bonus := 0::bigint;
  end if;
  insert into public.user_credits (user_id, created_at, updated_at)
  values (p_user_id, v_now, v_now)
  on conflict (user_id) do nothing;
  if v_bonus > 0 then
    perform from public.user_credits as a where a.user_id = p_user_id for no key update;
    if not exists (
      select from public.credit_transactions as t
      where t.user_id = p_user_id and t.idempotency_key = 'credits:signup_bonus'
    ) then
      perform credits_private.post(
        p_user_id, 'signup_bonus', v_bonus, 'Signup bonus', '{}', 'credits:signup_bonus'
      );
    end if;
  end if;
end;
$$;

comment on function credits_private.open_account(uuid) is
  'Opens the account of a user and grants the signup bonus, both at most once. Raises PT401 not_authenticated for null, PT404 account_not_found and PT410 account_closed.';

revoke all on function credits_private.open_account(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/open_accounts.sql
-- open_accounts: opens the accounts of users who were there before credits-db, a batch at a time.
--
-- Called by credits-db push in transactions of its own, so that no user waits for all others, and by the migration
-- for whoever is left. Takes the next p_limit users without an account, in the order of their ids and from
-- p_from on, and says with which id to go on. The users are share-locked first, so no account outlives a deletion.
-- Of several users with one address or phone number the first has the bonus, as if they had come one by one.

create or replace function credits_private.open_accounts(
  p_from uuid,
  p_limit integer
)
  returns uuid
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_key pg_catalog.bytea[] := credits_private.identity_key();
  v_is_first boolean := not exists (select from credits_private.closed_identities as c);
  v_users pg_catalog.uuid[] := array(
    select u.id
    from auth.users as u
    where u.id >= p_from
      and u.deleted_at is null
      and not exists (select from public.user_credits as a where a.user_id = u.id and a.user_id >= p_from)
      and (v_is_first or not exists (
        select
        from credits_private.closed_identities as c
        where c.identity_hash = credits_private.identity_hash('user', u.id::pg_catalog.text, v_key)
      ))
    order by u.id
    limit p_limit
    for key share of u
  );
  v_bonus bigint := (select s.value::bigint from credits_private.settings as s where s.name = 'signup_bonus');
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  perform credits_private.adopt_accounts(v_users);
  with identities as materialized (
    select u.id, i.hash, row_number() over (partition by i.hash order by a.user_id, u.id) as place
    from auth.users as u
    left join public.user_credits as a on a.user_id = u.id  -- who brought a balance has had the bonus
    cross join lateral (
      select credits_private.identity_hash('address', u.email, v_key)
      union all
      select credits_private.identity_hash('phone', u.phone, v_key)
      where u.phone <> ''
    ) as i (hash)
    where u.id = any (v_users) and not u.is_anonymous and i.hash is not null and v_bonus > 0
  ),
  claimed as (
    insert into credits_private.bonus_claims (identity_hash, claimed_at)
    select i.hash, (v_now at time zone 'UTC')::pg_catalog.date
    from identities as i
    where i.place = 1
    order by i.hash
    on conflict (identity_hash) do nothing
    returning identity_hash
  ),
  refused as (
    select i.id
    from identities as i
    left join claimed as c on c.identity_hash = i.hash
    where i.place > 1 or c.identity_hash is null
  ),
  opened as (
    insert into public.user_credits (user_id, credits_remaining, total_credits, last_seq, created_at, updated_at)
    select u.id, b.bonus, b.bonus, sign(b.bonus), v_now, v_now
    from auth.users as u
    cross join lateral (
      select case when u.is_anonymous or u.id in (select r.id from refused as r) then 0 else v_bonus end
    ) as b (bonus)
    where u.id = any (v_users)
    on conflict (user_id) do nothing
    returning *
  )
  insert into public.credit_transactions (
    user_id, seq, amount, balance_after, created_at, type, idempotency_key, description
  )
  select
    o.user_id, o.last_seq, o.credits_remaining, o.credits_remaining, o.created_at,
    'signup_bonus', 'credits:signup_bonus', 'Signup bonus'
  from opened as o
  where o.last_seq > 0;
  return v_users[cardinality(v_users)];
end;
$$;

comment on function credits_private.open_accounts(uuid, integer) is
  'Opens accounts, with the signup bonus, for the next p_limit users who have none, from the id p_from on. Returns the last of them, to go on with; null when nobody was left.';

revoke all on function credits_private.open_accounts(uuid, integer) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/count_unopened.sql
-- count_unopened: how many users were there before credits-db and have no account yet, for the question that push asks.

create or replace function credits_private.count_unopened()
  returns jsonb
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_users bigint;
  v_rewarded bigint;
begin
  execute format(
    $query$
      select count(*), count(*) filter (where not u.is_anonymous and not %s)
      from auth.users as u
      where u.deleted_at is null and not exists (select from public.user_credits as a where a.user_id = u.id)
    $query$,
    case
      when to_regclass('credits_before.balances') is null then 'false'
      else 'exists (select from credits_before.balances as b where b.user_id = u.id)'
    end
  ) into v_users, v_rewarded;
  return jsonb_build_object(
    'users', v_users,
    'rewarded', v_rewarded,
    'bonus', (select s.value::bigint from credits_private.settings as s where s.name = 'signup_bonus')
  );
end;
$$;

comment on function credits_private.count_unopened() is
  'How many users have no account, how many of them get a signup bonus (who is not anonymous and had no credits before), and how large it is.';

revoke all on function credits_private.count_unopened() from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/join_adopted.sql
-- join_adopted: rows of before go with their user.
--
-- Called by the migration that joins credits-db to auth.users. The tables of before that credits-db took over name users;
-- when one is deleted, nothing may stand in the way: a reference that would, and any of a table that moved, becomes ON
-- DELETE CASCADE, whatever it was called. What has no reference is removed by remove_adopted.

create or replace function credits_private.join_adopted()
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_table pg_catalog.regclass;
  v_column pg_catalog.name;
  v_target pg_catalog.regclass;
begin
  for v_table, v_column in
    select t.oid, a.attname
    from credits_private.adopted_relations as r
    cross join to_regclass(r.relation) as t (oid)
    join pg_catalog.pg_attribute as a on a.attrelid = t.oid and a.attnum > 0 and a.atttypid = 'pg_catalog.uuid'::pg_catalog.regtype
    where a.attname = 'user_id'
      or r.relation in ('public.users', 'public.profiles') and a.attname = 'id' and not exists (
        select from pg_catalog.pg_attribute as b where b.attrelid = t.oid and b.attname = 'user_id' and not b.attisdropped
      )
    order by t.oid
  loop
    if starts_with(v_table::pg_catalog.text, 'credits_before.') then
      perform credits_private.repoint(v_table, v_column, 'auth.users'::pg_catalog.regclass);
    else
      for v_target in
        select k.confrelid::pg_catalog.regclass
        from pg_catalog.pg_constraint as k
        join pg_catalog.pg_attribute as a on a.attrelid = k.conrelid and array[a.attnum] = k.conkey
        join pg_catalog.pg_attribute as b on b.attrelid = k.confrelid and array[b.attnum] = k.confkey
        where k.conrelid = v_table
          and k.contype = 'f'
          and k.confdeltype in ('a', 'r')  -- what a host lets go in its own way goes in that way
          and a.attname = v_column
          and b.attname = 'id'
        limit 1
      loop
        perform credits_private.repoint(v_table, v_column, v_target);
      end loop;
    end if;
    insert into credits_private.personal_data (relation, predicate)
    select r.relation, format('t.%I = $1', v_column)
    from credits_private.adopted_relations as r
    where to_regclass(r.relation) = v_table
    on conflict (relation) do nothing;
  end loop;
end;
$$;

comment on function credits_private.join_adopted() is
  'Lets the rows of adopted tables go with their user.';

revoke all on function credits_private.join_adopted() from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/remove_adopted.sql
-- remove_adopted: removes what adopted tables have yet of a user who leaves.
--
-- Most rows go by their references (join_adopted); this is for tables that have none, and for a soft deletion, which leaves
-- the row of auth.users.

create or replace function credits_private.remove_adopted(p_user_id uuid)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_data credits_private.personal_data;
begin
  for v_data in
    select d.*
    from credits_private.personal_data as d
    join credits_private.adopted_relations as r on r.relation = d.relation
    where to_regclass(d.relation) is not null
    order by d.relation
  loop
    execute format('delete from %s as t where %s', to_regclass(v_data.relation), v_data.predicate)
    using p_user_id, null::pg_catalog.text;
  end loop;
end;
$$;

comment on function credits_private.remove_adopted(uuid) is
  'Deletes the rows of a user in adopted tables.';

revoke all on function credits_private.remove_adopted(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/finish_adoption.sql
-- finish_adoption: everybody has an account, so nobody's is opened from the tables of before any more.
--
-- Called by the migration that opens existing accounts. Takes away the views that adopt_accounts reads; the tables of before
-- stay in schema credits_before until somebody drops them. References that were made without a look at old rows are
-- checked now, where they hold.

create or replace function credits_private.finish_adoption()
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_before constant pg_catalog.name := 'credits_before'::pg_catalog.name;
  v_constraint pg_catalog.record;
begin
  for v_constraint in
    select k.conrelid::pg_catalog.regclass as table_name, k.conname
    from pg_catalog.pg_constraint as k
    where k.contype = 'f'
      and not k.convalidated
      and k.conrelid in (select to_regclass(r.relation) from credits_private.adopted_relations as r)
  loop
    begin
      execute format('alter table %s validate constraint %I', v_constraint.table_name, v_constraint.conname);
    exception
      when foreign_key_violation then
        raise notice '% has rows of users who are gone; they stay', v_constraint.table_name;
    end;
  end loop;
  if to_regclass('credits_before.balances') is not null then
    -- what was bought by somebody who is not here any more is not credited to anybody else
    execute format($claim$
      insert into credits_private.purchase_claims (store, environment, transaction_id, source, claimed_at, closed_account_id)
      select distinct on (p.store, p.environment, p.transaction_id)
        p.store, p.environment, p.transaction_id, 'adopted', coalesce(p.at, credits_private.now()),
        '00000000-0000-0000-0000-000000000000'::pg_catalog.uuid
      from %I.purchases as p
      order by p.store, p.environment, p.transaction_id
      on conflict (store, environment, transaction_id) do nothing
    $claim$, v_before);
    execute format(
      'drop %s %I.balances; drop view %I.purchases; drop view %I.transactions',
      case when exists (
        select from pg_catalog.pg_tables as t where (t.schemaname, t.tablename) = (v_before, 'balances')
      ) then 'table' else 'view' end,
      v_before, v_before, v_before
    );
  end if;
end;
$$;

comment on function credits_private.finish_adoption() is
  'Ends the opening of accounts from the tables of before, and checks their references.';

revoke all on function credits_private.finish_adoption() from public, anon, authenticated, service_role;
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

-- from sql/credits/private/settle_leaving.sql
-- settle_leaving: writes what has fallen due for a user who is about to be deleted.
--
-- So that receipt, closed_accounts and the totals agree. Locks the balance; the caller has locked the user. What cannot
-- be written does not stop a deletion.

create or replace function credits_private.settle_leaving(p_user_id uuid)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  perform from public.user_credits as a where a.user_id = p_user_id for update;
  if not found then
    return;
  end if;
  begin
    perform credits_private.settle_account(p_user_id);
  exception
    when others then
      if sqlstate in ('40001', '40P01', '55P03') then
        raise;
      end if;
      raise warning 'credits-db: what was due for a deleted account was not written (%: %)', sqlstate, sqlerrm;
  end;
end;
$$;

comment on function credits_private.settle_leaving(uuid) is
  'Locks a balance that is about to go, and writes what is due for it; a warning where that cannot be.';

revoke all on function credits_private.settle_leaving(uuid) from public, anon, authenticated, service_role;
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
  'Takes credits and returns the ledger row. Raises PT402 insufficient_credits, PT404 account_not_found, PT410 account_closed, PT422 idempotency_key_reused and 22023 like check_entry.';

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
  'Adds credits and returns the ledger row. Raises PT404 account_not_found, PT410 account_closed, PT422 idempotency_key_reused, expiry_not_allowed or balance_limit, and 22023.';

revoke all on function credits_private.add_credits(
  uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text
) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/find_addresses.sql
-- find_addresses: whose addresses are these?
--
-- For import_balance, whose lines may name users by their address: thousands in one look at auth.users, which has no
-- index that could find one without its case. Who is meant when several users have an address is not decided here.

create or replace function credits_private.find_addresses(p_addresses text[])
  returns jsonb
  language sql
  stable
  set search_path = ''
as $$
  select coalesce(jsonb_object_agg(f.address, f.user_ids), '{}')
  from (
    select a.address, jsonb_agg(u.id order by u.id) as user_ids
    from (select distinct unnest(p_addresses) as address) as a
    join auth.users as u on lower(u.email) = lower(a.address) and u.deleted_at is null
    group by a.address
  ) as f;
$$;

comment on function credits_private.find_addresses(text[]) is
  'The ids of the users who have these addresses, in whatever case: {"address": ["id", ...]}, without those that nobody has.';

revoke all on function credits_private.find_addresses(text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/import_balance.sql
-- import_balance: credits one line of a file of balances.
--
-- For the owner (credits-db import-balances), which calls it for a batch of lines in one transaction: a line that cannot
-- be credited answers why, as a word, and leaves the others alone. The texts are as they stand in the file. The key makes
-- it replayable: a line that was credited before answers so and changes nothing.

create or replace function credits_private.import_balance(
  p_user_id uuid,
  p_amount text,
  p_expires_at text,
  p_idempotency_key text
)
  returns text
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_row public.credit_transactions;
  v_expires_at pg_catalog.timestamptz;
begin
  if p_amount !~ '^[0-9]{1,13}$' then
    return 'invalid_amount';
  end if;
  if p_expires_at ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' then
    v_expires_at := (p_expires_at || ' 00:00:00Z')::pg_catalog.timestamptz;
  elsif p_expires_at
    ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)$'
  then
    v_expires_at := p_expires_at::pg_catalog.timestamptz;
  elsif p_expires_at <> '' then
    return 'invalid_date';
  end if;
  v_account := credits_private.lock_account(p_user_id);
  v_row := credits_private.add_credits(
    p_user_id, p_amount::pg_catalog.int8, 'bonus', v_expires_at, 'Imported balance', '{}', p_idempotency_key
  );
  return case when v_row.seq <= v_account.last_seq then 'replayed' else 'credited' end;
exception
  when datetime_field_overflow or invalid_datetime_format or invalid_time_zone_displacement_value then
    return 'invalid_date';
  when sqlstate 'PT404' or sqlstate 'PT410' or sqlstate 'PT422' or sqlstate '22023' then
    return case sqlerrm when 'invalid_argument' then 'expired' else sqlerrm end;
end;
$$;

comment on function credits_private.import_balance(uuid, text, text, text) is
  'Credits a line of a file of balances as a bonus. p_amount: a whole number; p_expires_at: an ISO date (midnight UTC) or instant with a zone, or empty. Returns credited, replayed, or why not: invalid_date, expired, or the token of the refusal.';

revoke all on function credits_private.import_balance(uuid, text, text, text) from public, anon, authenticated, service_role;
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
  'Gives back a consumption, whole or in part, and returns the ledger row. Raises PT404 transaction_not_found or account_not_found, PT409 refund_exceeds_consumption, PT410 account_closed, PT422 idempotency_key_reused or balance_limit, and 22023.';

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
  'Sets credits aside and returns the hold. Raises PT402 insufficient_credits, PT404 account_not_found, PT410 account_closed, PT422 idempotency_key_reused, PT429 too_many_holds and 22023.';

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
  'Spends a hold, whole or in part, and returns the ledger row. Raises PT404 hold_not_found or account_not_found, PT409 hold_not_active, PT410 account_closed, PT422 idempotency_key_reused and 22023.';

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
  'Gives a hold back and returns it. Raises PT404 hold_not_found or account_not_found, PT409 hold_not_active where it was captured, and PT410 account_closed.';

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
-- Deleting the auth user does the rest: the balance goes by its foreign key, everything else with the balance, or by
-- close_account_on_deletion. The receipt counts what personal_data lists, so a host's tables are on it too: one that
-- cannot be counted is null there and a warning in the log, since no receipt is a reason not to delete.
-- Called again it removes nothing and answers with a receipt of zeros.

create or replace function credits_private.erase_account(p_user_id uuid)
  returns public.account_deletion
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_address pg_catalog.text;
  v_place credits_private.personal_data;
  v_count bigint;
  v_receipt public.account_deletion;
begin
  if p_user_id is null then
    raise exception using
      errcode = 'PT401',
      message = 'not_authenticated',
      detail = '{}',
      hint = 'The user id is null: nobody is signed in.';
  end if;
  select lower(u.email) into v_address from auth.users as u where u.id = p_user_id for update;
  if credits_private.credits_before(p_user_id) is not null then
    perform credits_private.lock_account(p_user_id);  -- what they had is written off, not forgotten
  end if;
  perform credits_private.settle_leaving(p_user_id);
  v_receipt.credits_written_off := coalesce(
    (select a.credits_remaining from public.user_credits as a where a.user_id = p_user_id), 0
  );
  v_receipt.removed := '{}';
  for v_place in
    select d.* from credits_private.personal_data as d where d.is_erased and to_regclass(d.relation) is not null
  loop
    begin
      execute format('select count(*) from %s as t where %s', to_regclass(v_place.relation), v_place.predicate)
      into v_count
      using p_user_id, v_address;
    exception
      when others then
        v_count := null;
        raise warning 'credits-db: % is not on the receipt, see its row in personal_data (%: %)', v_place.relation, sqlstate, sqlerrm;
    end;
    v_receipt.removed := v_receipt.removed || jsonb_build_object(v_place.relation, v_count);
  end loop;
  -- triggers of the host may fire on the way, and not all of them name schemas; temporary objects come last
  set local search_path = public, extensions, pg_temp;
  delete from auth.users as u where u.id = p_user_id;
  set local search_path = '';
  v_receipt.user_id := p_user_id;
  v_receipt.deleted_at := credits_private.now();
  return v_receipt;
end;
$$;

comment on function credits_private.erase_account(uuid) is
  'Deletes a user with all that is theirs, and returns the receipt. Raises PT401 not_authenticated for null.';

revoke all on function credits_private.erase_account(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/export_user_data.sql
-- export_user_data: everything that is held about a user, for the user who asks for it.
--
-- Rows as they are, of every table that personal_data lists, without the columns that it conceals. A body that Postgres
-- has no jsonb for comes as text. Reads; locks and writes nothing.

create or replace function credits_private.export_user_data(p_user_id uuid)
  returns jsonb
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_address pg_catalog.text;
  v_place credits_private.personal_data;
  v_rows pg_catalog.jsonb;
  v_tables pg_catalog.jsonb := '{}'::pg_catalog.jsonb;
begin
  if p_user_id is null then
    raise exception using
      errcode = 'PT401',
      message = 'not_authenticated',
      detail = '{}',
      hint = 'The user id is null: nobody is signed in.';
  end if;
  -- an address that was never confirmed may be somebody else's
  select case when to_jsonb(u) ->> 'email_confirmed_at' is not null then lower(u.email) end
  into v_address
  from auth.users as u
  where u.id = p_user_id;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'account_not_found',
      detail = '{}',
      hint = 'There is no such user.';
  end if;
  for v_place in
    select d.* from credits_private.personal_data as d where to_regclass(d.relation) is not null
  loop
    execute format(
      $query$
        select coalesce(jsonb_agg(r.shown), '[]')
        from (
          select (
            select jsonb_object_agg(c.key, coalesce(credits_private.read_json(c.value), to_jsonb(c.value::pg_catalog.text)))
            from json_each(row_to_json(t)) as c
            where c.key not like all ($3)
          ) as shown
          from %s as t
          where %s
        ) as r
      $query$,
      to_regclass(v_place.relation), v_place.predicate
    )
    into v_rows
    using p_user_id, v_address, v_place.concealed;
    v_tables := v_tables || jsonb_build_object(v_place.relation, v_rows);
  end loop;
  return jsonb_build_object('user_id', p_user_id, 'exported_at', credits_private.now(), 'tables', v_tables);
end;
$$;

comment on function credits_private.export_user_data(uuid) is
  'Everything that is held about a user, table by table. Raises PT401 not_authenticated for null and PT404 account_not_found.';

revoke all on function credits_private.export_user_data(uuid) from public, anon, authenticated, service_role;
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
    v_account.credits_remaining := coalesce(
      credits_private.credits_before(p_user_id), credits_private.signup_bonus_for(p_user_id)
    );
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
  'The balance row of a user, or what it would be once opened. Raises PT404 account_not_found and PT410 account_closed.';

revoke all on function credits_private.read_account(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/read_history.sql
-- read_history: one page of a user's ledger, newest first.
--
-- Pages by seq, which the primary key serves backwards: a page costs what its rows cost, however long
-- the history is and whatever is posted meanwhile.

create or replace function credits_private.read_history(
  p_user_id uuid,
  p_page_size integer,
  p_before_seq bigint,
  p_type public.credit_transaction_type
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  rows 50
  set search_path = ''
as $$
begin
  if p_page_size is null or p_page_size not between 1 and 500 then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'page_size', 'value', p_page_size),
      hint = 'A page has 1 to 500 rows.';
  end if;
  return query
  select t.*
  from public.credit_transactions as t
  where t.user_id = p_user_id
    and t.seq < coalesce(p_before_seq, 9223372036854775807)
    and (p_type is null or t.type = p_type)
  order by t.seq desc
  limit p_page_size;
end;
$$;

comment on function credits_private.read_history(uuid, integer, bigint, public.credit_transaction_type) is
  'Ledger rows of a user below p_before_seq, newest first. Raises 22023 invalid_argument for a page outside 1 to 500.';

revoke all on function credits_private.read_history(uuid, integer, bigint, public.credit_transaction_type)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/read_operation.sql
-- read_operation: what became of a call whose answer was lost.
--
-- A row is final. No row is not: the first call may still be on its way, and sending it again with the
-- same key is what settles it.

create or replace function credits_private.read_operation(
  p_user_id uuid,
  p_idempotency_key text
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  rows 1
  set search_path = ''
as $$
begin
  return query
  select t.*
  from public.credit_transactions as t
  where t.user_id = p_user_id
    and t.idempotency_key = p_idempotency_key;
end;
$$;

comment on function credits_private.read_operation(uuid, text) is
  'The ledger row that this key wrote, or no row.';

revoke all on function credits_private.read_operation(uuid, text) from public, anon, authenticated, service_role;
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
  'A JSON object: the figures of the balance, totals by type, what has fallen due and is not written yet, lots, holds, recurring grants, debts and where they come from, the five newest ledger rows, whether the books add up, and a summary in sentences. Raises PT404 account_not_found and PT410 account_closed.';

revoke all on function credits_private.explain_balance(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refuse_shape.sql
-- refuse_shape: says which field of a body is not what the provider documents.

create or replace function credits_private.refuse_shape(
  p_field text
)
  returns void
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  raise exception using
    errcode = '22023',
    message = 'wrong_shape',
    detail = json_build_object('field', p_field),
    hint = 'The body is not of a shape that this provider documents.';
end;
$$;

comment on function credits_private.refuse_shape(text) is
  'Raises 22023 wrong_shape with the field.';

revoke all on function credits_private.refuse_shape(text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/require_text.sql
-- require_text: a field of a body that must be there, as text.

create or replace function credits_private.require_text(
  p_object jsonb,
  p_field text
)
  returns text
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_value pg_catalog.text := p_object ->> p_field;
begin
  if (jsonb_typeof(p_object -> p_field) in ('string', 'number') and length(v_value) between 1 and 255) is not true then
    perform credits_private.refuse_shape(p_field);
  end if;
  return v_value;
end;
$$;

comment on function credits_private.require_text(jsonb, text) is
  'A field as text of 1 to 255 characters. Raises 22023 wrong_shape.';

revoke all on function credits_private.require_text(jsonb, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/read_quantity.sql
-- read_quantity: how many of a product were bought; metadata of Stripe says it as text.

create or replace function credits_private.read_quantity(
  p_value jsonb
)
  returns integer
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  if p_value is null or p_value = 'null' then
    return 1;
  end if;
  if (p_value #>> '{}' ~ '^[1-9][0-9]{0,5}$') is not true then
    perform credits_private.refuse_shape('quantity');
  end if;
  return (p_value #>> '{}')::integer;
end;
$$;

comment on function credits_private.read_quantity(jsonb) is
  'A quantity from 1 to 999999, 1 where nothing is said. Raises 22023 wrong_shape.';

revoke all on function credits_private.read_quantity(jsonb) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/to_cents.sql
-- to_cents: an amount of money in the smallest unit of its currency.
--
-- RevenueCat says 32.99 CAD, Stripe 3299: both are 3299 here. Yen have no smaller unit, dinars have a thousand of them;
-- the lists are Stripe's (docs.stripe.com/currencies).

create or replace function credits_private.to_cents(
  p_amount numeric,
  p_currency text
)
  returns bigint
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return round(
    abs(p_amount) * case
      when upper(p_currency) in (
        'BIF', 'CLP', 'DJF', 'GNF', 'JPY', 'KMF', 'KRW', 'MGA', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'
      ) then 1
      when upper(p_currency) in ('BHD', 'JOD', 'KWD', 'OMR', 'TND') then 1000
      else 100
    end
  )::bigint;
end;
$$;

comment on function credits_private.to_cents(numeric, text) is
  'An amount in the smallest unit of its currency, never negative; null for null.';

revoke all on function credits_private.to_cents(numeric, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/clean_names.sql
-- clean_names: the usable ones of the names by which a provider knows somebody.
--
-- Ids of users in lowercase (Swift prints a UUID in uppercase), no empty ones, and none of those that stand for nobody:
-- RevenueCat refuses them too, since an app that sends "guest" for everybody would share one customer among all.

create or replace function credits_private.clean_names(
  p_names text[]
)
  returns text[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_names pg_catalog.text[] := '{}'::pg_catalog.text[];
  v_name pg_catalog.text;
begin
  foreach v_name in array p_names[:100] loop
    if v_name like '________-____-____-____-____________' then
      v_name := lower(v_name);
    end if;
    if length(v_name) between 1 and 255
      and v_name <> all (v_names)
      and lower(v_name) not in (
        'null', 'none', 'nil', 'guest', '-1', '0', 'undefined', 'unknown', 'anonymous', '[]', '{}', 'no_user', 'unidentified'
      )
    then
      v_names := v_names || v_name;
    end if;
  end loop;
  return v_names;
end;
$$;

comment on function credits_private.clean_names(text[]) is
  'Names without those that stand for nobody and without repetitions, ids of users in lowercase, in the same order; of the first 100.';

revoke all on function credits_private.clean_names(text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/read_revenuecat_event.sql
-- read_revenuecat_event: what an event of RevenueCat says, as facts.
--
-- One place knows RevenueCat's words. Only the types that are paid make a payment; what a refund is, the cancel reason
-- decides, never the sign of a price. A transaction of Stripe that RevenueCat tells of keeps Stripe's own name, so that it
-- meets Stripe's events. Field names: RevenueCat, "Event types and fields".

create or replace function credits_private.read_revenuecat_event(
  p_body jsonb
)
  returns credits_private.store_fact[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_event pg_catalog.jsonb := p_body -> 'event';
  v_type pg_catalog.text := v_event ->> 'type';
  v_aliases pg_catalog.jsonb := case jsonb_typeof(v_event -> 'aliases') when 'array' then v_event -> 'aliases' else '[]' end;
  v_expiration pg_catalog.jsonb := v_event -> 'expiration_at_ms';
  v_fact credits_private.store_fact;
begin
  if jsonb_typeof(v_event) is distinct from 'object' then
    perform credits_private.refuse_shape('event');
  end if;
  perform credits_private.require_text(v_event, 'type');
  v_fact.names := credits_private.clean_names(
    array[v_event ->> 'app_user_id', v_event ->> 'original_app_user_id']
    || array(select a.name from jsonb_array_elements_text(v_aliases) as a (name))
  );
  v_fact.store := lower(v_event ->> 'store');
  v_fact.environment := coalesce(v_event ->> 'environment', v_event ->> 'purchase_environment');
  if v_fact.store = 'test_store' then
    v_fact.environment := 'SANDBOX';
  end if;
  v_fact.product_id := v_event ->> 'product_id';
  v_fact.ref := 'changes_nothing';
  v_fact.kind := case
    when v_type in ('INITIAL_PURCHASE', 'RENEWAL', 'NON_RENEWING_PURCHASE') then 'payment'
    when v_type = 'VIRTUAL_CURRENCY_TRANSACTION'
      and v_event ->> 'source' = 'in_app_purchase'
      and jsonb_path_exists(v_event, '$.adjustments[*].amount ? (@ > 0)')
    then 'payment'
    when v_type = 'CANCELLATION' and v_event ->> 'cancel_reason' = 'CUSTOMER_SUPPORT' then 'refund'
    when v_type = 'REFUND_REVERSED' then 'reversal'
    when v_type = 'EXPIRATION' then 'period'
    when v_type = 'SUBSCRIPTION_EXTENDED' then 'period'
    when v_type = 'BILLING_ISSUE' and jsonb_typeof(v_event -> 'grace_period_expiration_at_ms') = 'number' then 'period'
    when v_type = 'TRANSFER' then 'transfer'
    when v_type = 'SUBSCRIBER_ALIAS' then 'alias'
    else 'nothing'
  end;

  if v_fact.kind = 'nothing' then
    v_fact.transaction_ids := array_remove(array[v_event ->> 'transaction_id'], null);
    v_fact.ref := case
      when v_type = 'TEST' then 'test'
      when v_type in (
        'CANCELLATION', 'UNCANCELLATION', 'BILLING_ISSUE', 'PRODUCT_CHANGE', 'SUBSCRIPTION_PAUSED',
        'TEMPORARY_ENTITLEMENT_GRANT', 'INVOICE_ISSUANCE', 'VIRTUAL_CURRENCY_TRANSACTION', 'EXPERIMENT_ENROLLMENT',
        'PURCHASE_REDEEMED', 'PRICE_INCREASE_CONSENT_REQUIRED', 'PRICE_INCREASE_CONSENT_APPROVED'
      ) or starts_with(v_type, 'PAYWALL_') then 'changes_nothing'
      else 'unknown_type'
    end;
    if v_type = 'TEST' then
      v_fact.names := '{}';
    end if;
    return array[v_fact];
  end if;

  if v_fact.kind = 'alias' then
    return array[v_fact];
  end if;

  if v_fact.kind = 'transfer' then
    if jsonb_typeof(v_event -> 'transferred_to') is distinct from 'array'
      or jsonb_typeof(v_event -> 'transferred_from') is distinct from 'array'
    then
      perform credits_private.refuse_shape('transferred_to');
    end if;
    v_fact.names := credits_private.clean_names(
      array(select n.name from jsonb_array_elements_text(v_event -> 'transferred_to') as n (name))
    );
    v_fact.former_names := credits_private.clean_names(
      array(select n.name from jsonb_array_elements_text(v_event -> 'transferred_from') as n (name))
    );
    return array[v_fact];
  end if;

  -- from here on the event is about a transaction
  if v_event -> 'is_family_share' = 'true' then
    v_fact.kind := 'nothing';
    v_fact.ref := 'family_share';
    return array[v_fact];
  end if;
  perform credits_private.require_text(v_event, 'store');
  v_fact.transaction_ids := array[credits_private.require_text(v_event, 'transaction_id')];
  if v_fact.store = 'stripe' and v_fact.transaction_ids[1] !~ '^(pi|in|cs|ch|py)_' then
    raise exception using
      errcode = '22023',
      message = 'unmapped_transaction',
      detail = json_build_object('transaction_id', v_fact.transaction_ids[1]),
      hint = 'RevenueCat tells of a payment by Stripe under a name that Stripe does not use for payments.';
  end if;
  v_fact.product_id := credits_private.require_text(v_event, 'product_id');
  v_fact.stage := 1;
  v_fact.ref := 'store:' || v_fact.product_id;
  if jsonb_typeof(v_expiration) = 'number' then
    v_fact.until := to_timestamp(least(greatest(v_expiration::numeric / 1000, 0), 253402300799)::double precision);
  end if;

  if v_fact.kind = 'payment' then
    v_fact.stage := 2;
    v_fact.source := 'revenuecat';
    v_fact.quantity := 1;
    if v_type = 'VIRTUAL_CURRENCY_TRANSACTION' then
      v_fact.until := to_timestamp(0);  -- it does not say until when; the purchase event does
    end if;
    v_fact.is_trial := v_event ->> 'period_type' = 'TRIAL';
    v_fact.currency := upper(v_event ->> 'currency');
    if jsonb_typeof(v_event -> 'price_in_purchased_currency') = 'number' then
      v_fact.price_cents := credits_private.to_cents((v_event -> 'price_in_purchased_currency')::numeric, v_fact.currency);
    end if;
    v_fact.list_cents := v_fact.price_cents;
    v_fact.entitlements := case
      when jsonb_typeof(v_event -> 'entitlement_ids') = 'array'
        then array(
          select distinct e.name
          from jsonb_array_elements_text(v_event -> 'entitlement_ids') as e (name)
          where length(e.name) between 1 and 100
          order by e.name
          limit 20
        )
      else array_remove(array[v_event ->> 'entitlement_id'], null)
    end;
  elsif v_type = 'EXPIRATION' then
    v_fact.ref := 'expired:' || v_fact.product_id;
    if v_fact.until is null then
      perform credits_private.refuse_shape('expiration_at_ms');
    end if;
  elsif v_fact.kind = 'period' then
    v_fact.ref := 'extended:' || v_fact.product_id;
    if v_type = 'BILLING_ISSUE' then
      v_fact.until := to_timestamp(
        least(greatest((v_event -> 'grace_period_expiration_at_ms')::numeric / 1000, 0), 253402300799)::double precision
      );
    end if;
  end if;
  return array[v_fact];
end;
$$;

comment on function credits_private.read_revenuecat_event(jsonb) is
  'What an event of RevenueCat says. Raises 22023 wrong_shape or unmapped_transaction.';

revoke all on function credits_private.read_revenuecat_event(jsonb) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/add_line.sql
-- add_line: a line of an invoice or a session, put to those before it; two lines of one product are one purchase of both.

create or replace function credits_private.add_line(
  p_facts credits_private.store_fact[],
  p_line credits_private.store_fact
)
  returns credits_private.store_fact[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_facts credits_private.store_fact[] := p_facts;
begin
  for v_n in 1 .. cardinality(v_facts) loop
    if v_facts[v_n].product_id = p_line.product_id then
      v_facts[v_n].quantity := v_facts[v_n].quantity + p_line.quantity;
      v_facts[v_n].price_cents := v_facts[v_n].price_cents + p_line.price_cents;
      v_facts[v_n].list_cents := v_facts[v_n].list_cents + p_line.list_cents;
      v_facts[v_n].is_trial := v_facts[v_n].is_trial and p_line.is_trial;
      v_facts[v_n].until := greatest(v_facts[v_n].until, p_line.until);
      return v_facts;
    end if;
  end loop;
  return v_facts || p_line;
end;
$$;

comment on function credits_private.add_line(credits_private.store_fact[], credits_private.store_fact) is
  'The facts with one more line, added to that of the same product.';

revoke all on function credits_private.add_line(credits_private.store_fact[], credits_private.store_fact) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/read_stripe_event.sql
-- read_stripe_event: what an event of Stripe says, as facts.
--
-- One place knows Stripe's words. A payment is named by its payment intent, else its invoice, else its session, and every
-- event names what it knows. Amounts that went back are told three ways (a charge's growing total, refunds by id, disputes
-- by id) and are kept apart here; refunded_share puts them together. An inquiry (warning_*) moves no money.
-- Field names: docs.stripe.com/api; invoices before and after its version of March 2025.

create or replace function credits_private.read_stripe_event(
  p_body jsonb
)
  returns credits_private.store_fact[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_type pg_catalog.text := credits_private.require_text(p_body, 'type');
  v_object pg_catalog.jsonb := p_body #> '{data,object}';
  v_metadata pg_catalog.jsonb := coalesce(v_object -> 'metadata', '{}');
  v_lines pg_catalog.jsonb;
  v_line pg_catalog.jsonb;
  v_refund pg_catalog.jsonb;
  v_status pg_catalog.text := v_object ->> 'status';
  v_name pg_catalog.text;
  v_fact credits_private.store_fact;
  v_facts credits_private.store_fact[] := '{}'::credits_private.store_fact[];
begin
  if jsonb_typeof(v_object) is distinct from 'object' then
    perform credits_private.refuse_shape('data.object');
  end if;
  v_fact.store := 'stripe';
  v_fact.environment := case p_body -> 'livemode' when 'true' then 'PRODUCTION' when 'false' then 'SANDBOX' end;
  -- a reference that is no id of a user (a partner's code, say) is nobody's name
  foreach v_name in array credits_private.clean_names(array[
    v_object ->> 'client_reference_id', v_metadata ->> 'user_id',
    v_object #>> '{subscription_details,metadata,user_id}', v_object #>> '{parent,subscription_details,metadata,user_id}'
  ]) loop
    if v_name like '________-____-____-____-____________' then
      v_fact.names := v_fact.names || v_name;
    end if;
  end loop;
  v_fact.names := v_fact.names || credits_private.clean_names(
    array[coalesce(v_object #>> '{customer,id}', v_object ->> 'customer')]
  );
  v_fact.currency := upper(v_object ->> 'currency');
  v_fact.ref := 'changes_nothing';

  if v_type in (
    'checkout.session.completed', 'checkout.session.async_payment_succeeded', 'checkout.session.async_payment_failed'
  ) then
    if v_object ->> 'mode' is distinct from 'payment' then
      v_fact.kind := 'alias';  -- an invoice brings the credits; the session tells whose customer it is
      return array[v_fact];
    end if;
    v_fact.kind := 'payment';
    v_fact.source := 'checkout';
    v_fact.transaction_ids := array_remove(
      array[
        coalesce(v_object #>> '{payment_intent,id}', v_object ->> 'payment_intent'),
        coalesce(v_object #>> '{invoice,id}', v_object ->> 'invoice'),
        credits_private.require_text(v_object, 'id')
      ],
      null
    );
    v_fact.stage := case
      when v_type = 'checkout.session.async_payment_failed' then 1
      when v_object ->> 'payment_status' in ('paid', 'no_payment_required') then 2
      when v_object ->> 'payment_status' = 'unpaid' then 0
    end;
    if v_fact.stage is null then
      perform credits_private.refuse_shape('payment_status');
    end if;
    v_lines := v_object #> '{line_items,data}';
    if v_metadata ? 'product_id' or jsonb_typeof(v_lines) is distinct from 'array' or v_lines = '[]' then
      v_fact.product_id := v_metadata ->> 'product_id';
      v_fact.quantity := credits_private.read_quantity(v_metadata -> 'quantity');
      v_fact.list_cents := (v_object ->> 'amount_subtotal')::bigint;
      v_fact.price_cents := least(v_fact.list_cents, (v_object ->> 'amount_total')::bigint);
      return array[v_fact];
    end if;
    for v_line in select l.line from jsonb_array_elements(v_lines) as l (line) limit 100 loop
      v_fact.product_id := coalesce(v_line #>> '{price,metadata,product_id}', v_line #>> '{price,id}');
      v_fact.quantity := credits_private.read_quantity(v_line -> 'quantity');
      v_fact.list_cents := (v_line ->> 'amount_subtotal')::bigint;
      v_fact.price_cents := least(v_fact.list_cents, (v_line ->> 'amount_total')::bigint);
      v_facts := credits_private.add_line(v_facts, v_fact);
    end loop;

  elsif v_type = 'payment_intent.succeeded' then
    v_fact.transaction_ids := array_remove(
      array[
        credits_private.require_text(v_object, 'id'),
        coalesce(v_object #>> '{invoice,id}', v_object ->> 'invoice'),
        coalesce(v_object #>> '{latest_charge,id}', v_object ->> 'latest_charge')
      ],
      null
    );
    v_fact.product_id := v_metadata ->> 'product_id';
    if v_fact.product_id is null then
      -- its session or invoice says what was bought; this may say that both are one
      v_fact.kind := case when cardinality(v_fact.transaction_ids) > 1 then 'link' else 'nothing' end;
      return array[v_fact];
    end if;
    v_fact.kind := 'payment';
    v_fact.source := 'payment_intent';
    v_fact.stage := 2;
    v_fact.quantity := credits_private.read_quantity(v_metadata -> 'quantity');
    v_fact.price_cents := (v_object ->> 'amount_received')::bigint;
    v_fact.list_cents := v_fact.price_cents;
    v_facts := v_facts || v_fact;

  elsif v_type in ('invoice.paid', 'invoice.payment_succeeded') then
    v_fact.kind := 'payment';
    v_fact.source := 'invoice';
    v_fact.stage := 2;
    v_fact.transaction_ids := array_remove(
      array[
        coalesce(
          v_object #>> '{payment_intent,id}', v_object ->> 'payment_intent',
          v_object #>> '{payments,data,0,payment,payment_intent}'
        ),
        credits_private.require_text(v_object, 'id')
      ],
      null
    );
    v_lines := v_object #> '{lines,data}';
    if jsonb_typeof(v_lines) is distinct from 'array' then
      perform credits_private.refuse_shape('lines.data');
    end if;
    for v_line in select l.line from jsonb_array_elements(v_lines) as l (line) limit 100 loop
      -- a change of plan within a period is prorated: it moves money, and sells no pack
      continue when coalesce(v_line -> 'proration', v_line #> '{parent,subscription_item_details,proration}') = 'true'
        or (v_line ->> 'amount')::bigint < 0
        or v_line -> 'quantity' = '0';
      v_fact.product_id := coalesce(
        v_line #>> '{metadata,product_id}', v_line #>> '{price,id}', v_line #>> '{pricing,price_details,price}',
        v_line #>> '{plan,id}'
      );
      -- metered things come in any number, and are not ours: what is sold is at most 10^12 credits (find_product)
      v_fact.quantity := case
        when jsonb_typeof(v_line -> 'quantity') = 'number' and (v_line -> 'quantity')::numeric between 1000000 and 2147483647
          then (v_line -> 'quantity')::integer
        else credits_private.read_quantity(v_line -> 'quantity')
      end;
      v_fact.list_cents := (v_line ->> 'amount')::bigint;
      v_fact.price_cents := least(v_fact.list_cents, (v_object ->> 'amount_paid')::bigint);
      v_fact.is_trial := v_fact.list_cents = 0
        and coalesce((v_line #>> '{price,unit_amount}')::bigint, (v_line #>> '{plan,amount}')::bigint, 1) > 0;
      -- an item that is billed once has a period of no length
      v_fact.until := case
        when v_line #>> '{period,end}' is distinct from v_line #>> '{period,start}'
          then to_timestamp(least((v_line #>> '{period,end}')::bigint, 253402300799))
      end;
      if jsonb_array_length(v_lines) > 1 then
        v_fact.basis_cents := least((v_object ->> 'subtotal')::bigint, (v_object ->> 'total')::bigint);
      end if;
      v_facts := credits_private.add_line(v_facts, v_fact);
    end loop;

  elsif v_type = 'invoice_payment.paid' then
    v_fact.kind := 'link';
    v_fact.transaction_ids := array_remove(
      array[v_object #>> '{payment,payment_intent}', credits_private.require_text(v_object, 'invoice')], null
    );
    v_facts := v_facts || v_fact;

  elsif v_type in ('charge.refunded', 'refund.created', 'refund.updated', 'refund.failed', 'charge.refund.updated') then
    v_fact.names := '{}';
    v_fact.transaction_ids := array_remove(
      array[
        coalesce(v_object #>> '{payment_intent,id}', v_object ->> 'payment_intent'),
        coalesce(v_object #>> '{charge,id}', v_object ->> 'charge'),
        case when v_type = 'charge.refunded' then credits_private.require_text(v_object, 'id') end
      ],
      null
    );
    if v_type = 'charge.refunded' then
      v_fact.kind := 'refunded';
      v_fact.ref := v_object ->> 'id';
      v_fact.stage := 1;
      v_fact.cents := (v_object ->> 'amount_refunded')::bigint;
      v_fact.basis_cents := (v_object ->> 'amount')::bigint;
      if v_fact.cents is null or v_fact.basis_cents is null then
        perform credits_private.refuse_shape('amount_refunded');
      end if;
      if v_object -> 'refunded' = 'true' then
        v_fact.cents := greatest(v_fact.cents, v_fact.basis_cents);
      end if;
      v_facts := v_facts || v_fact;
      v_lines := v_object #> '{refunds,data}';  -- older versions of the API tell the refunds too
    else
      v_lines := jsonb_build_array(v_object);
    end if;
    if jsonb_typeof(v_lines) = 'array' then
      for v_refund in select l.line from jsonb_array_elements(v_lines) as l (line) limit 100 loop
        v_fact.kind := 'refund';
        v_fact.ref := credits_private.require_text(v_refund, 'id');
        v_fact.cents := (v_refund ->> 'amount')::bigint;
        v_fact.stage := case
          when v_type = 'refund.failed' or v_refund ->> 'status' in ('failed', 'canceled') then 2
          when v_refund ->> 'status' = 'requires_action' then 0
          else 1
        end;
        v_facts := v_facts || v_fact;
      end loop;
    end if;

  elsif starts_with(v_type, 'charge.dispute.') then
    v_fact.names := '{}';
    v_fact.kind := 'dispute';
    v_fact.transaction_ids := array_remove(
      array[
        coalesce(v_object #>> '{payment_intent,id}', v_object ->> 'payment_intent'),
        coalesce(v_object #>> '{charge,id}', v_object ->> 'charge')
      ],
      null
    );
    v_fact.ref := credits_private.require_text(v_object, 'id');
    v_fact.cents := (v_object ->> 'amount')::bigint;
    v_fact.stage := case
      when v_status = 'won' then 5
      when v_type = 'charge.dispute.funds_reinstated' or v_status = 'charge_refunded' then 4
      when v_status = 'lost' then 3
      when v_type = 'charge.dispute.funds_withdrawn' then 2
      when starts_with(v_status, 'warning_') then 0
      else 1
    end;
    v_facts := v_facts || v_fact;

  else
    v_fact.kind := 'nothing';
    v_fact.ref := case
      when v_type ~ '^(account|balance|billing|charge|checkout|customer|invoice|payment|payout|price|product|setup_intent|subscription)'
        then 'changes_nothing'
      else 'unknown_type'
    end;
    v_facts := v_facts || v_fact;
  end if;
  if v_fact.kind not in ('nothing', 'alias') and coalesce(cardinality(v_fact.transaction_ids), 0) = 0 then
    perform credits_private.refuse_shape('payment_intent');
  end if;
  return v_facts;
end;
$$;

comment on function credits_private.read_stripe_event(jsonb) is
  'What an event of Stripe says. Raises 22023 wrong_shape.';

revoke all on function credits_private.read_stripe_event(jsonb) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/read_json.sql
-- read_json: a body as jsonb, or null where it holds what Postgres has no value for.
--
-- JSON may name a NUL, half a surrogate, or a number of a million digits: that is no reason to lose the event.

create or replace function credits_private.read_json(
  p_body json
)
  returns jsonb
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return p_body::pg_catalog.text::pg_catalog.jsonb;
exception
  when others then
    return null;
end;
$$;

comment on function credits_private.read_json(json) is
  'A body as jsonb, null where that cannot be.';

revoke all on function credits_private.read_json(json) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/learn_names.sql
-- learn_names: remembers whose names these are, and runs what was parked under them. Each name once, to who had it first.

create or replace function credits_private.learn_names(
  p_user_id uuid,
  p_provider text,
  p_names text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_learned pg_catalog.text[] := '{}'::pg_catalog.text[];
  v_name pg_catalog.text;
begin
  foreach v_name in array p_names loop
    insert into credits_private.store_customers (provider, name, user_id)
    values (p_provider, v_name, p_user_id)
    on conflict (provider, name) do nothing;
    if found then
      v_learned := v_learned || v_name;
    end if;
  end loop;
  if v_learned <> '{}' then
    perform credits_private.run_parked_events(v_learned);
  end if;
end;
$$;

comment on function credits_private.learn_names(uuid, text, text[]) is
  'Remembers whose names these are, and runs the events that were parked under them.';

revoke all on function credits_private.learn_names(uuid, text, text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/find_user.sql
-- find_user: which account do these names belong to?
--
-- A name is the id of a user, or one that an earlier event taught us (store_customers). Stripe's events name people in an
-- order of trust, and the first account counts; for RevenueCat all names are of one person, so two accounts among them
-- are a question for an operator, not a guess (or nobody, where p_is_asked is false). Names beside theirs that nobody has yet become theirs, and what was parked under
-- those is done.

create or replace function credits_private.find_user(
  p_provider text,
  p_names text[],
  p_is_asked boolean
)
  returns uuid
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_ids pg_catalog.uuid[] := '{}'::pg_catalog.uuid[];
  v_others pg_catalog.text[] := '{}'::pg_catalog.text[];
  v_accounts pg_catalog.uuid[] := '{}'::pg_catalog.uuid[];
  v_user_id pg_catalog.uuid;
  v_known integer := 0;
  v_name pg_catalog.text;
begin
  foreach v_name in array p_names loop
    if v_name like '________-____-____-____-____________' and translate(v_name, '0123456789abcdef', '') = '----' then
      v_ids := v_ids || v_name::pg_catalog.uuid;
    else
      v_others := v_others || v_name;
    end if;
  end loop;
  if v_ids <> '{}' then
    v_accounts := array(
      select u.id
      from auth.users as u
      where u.id = any (v_ids) and u.deleted_at is null
      order by array_position(v_ids, u.id)
    );
  end if;
  -- whom Stripe's event names by id is meant, here or not yet; its customer is asked only where it names nobody
  if v_others <> '{}' and (p_provider <> 'stripe' or v_ids = '{}' or v_accounts <> '{}') then
    for v_user_id in
      select c.user_id
      from credits_private.store_customers as c
      where c.provider = p_provider and c.name = any (v_others)
      order by array_position(v_others, c.name)
    loop
      v_accounts := v_accounts || v_user_id;
      v_known := v_known + 1;
    end loop;
  end if;
  if p_provider <> 'stripe' and v_accounts[1] <> any (v_accounts) then
    if not p_is_asked then
      return null;
    end if;
    raise exception using
      errcode = '22023',
      message = 'ambiguous_user',
      detail = '{}',
      hint = 'The names in this event belong to more than one account.';
  end if;
  if not p_is_asked and v_accounts[1] is not null then
    -- nobody else will lock the account: it must not go while something is written of it
    perform from auth.users as u where u.id = v_accounts[1] and u.deleted_at is null for key share;
    if not found then
      return null;
    end if;
  end if;
  if v_accounts[1] is not null and v_known < cardinality(v_others) then
    perform credits_private.learn_names(v_accounts[1], p_provider, v_others);
  end if;
  return v_accounts[1];
end;
$$;

comment on function credits_private.find_user(text, text[], boolean) is
  'The account that a provider''s names belong to, or null; remembers the names that are new. Raises 22023 ambiguous_user.';

revoke all on function credits_private.find_user(text, text[], boolean) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/find_claim.sql
-- find_claim: who has this transaction already, under any of its names?
--
-- Asked before any lock is taken, so that the balance can be locked before the claim: every path takes them in that order.

create or replace function credits_private.find_claim(
  p_store text,
  p_environment text,
  p_transaction_ids text[]
)
  returns credits_private.purchase_claims
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims;
begin
  with recursive claims as (
    select c.*
    from credits_private.purchase_claims as c
    where c.store = p_store and c.environment = p_environment and c.transaction_id = any (p_transaction_ids)
    union
    select c.*
    from claims as a
    join credits_private.purchase_claims as c
      on c.store = p_store and c.environment = p_environment and c.transaction_id = a.alias_of
  )
  select c.* into v_claim from claims as c where c.user_id is not null or c.closed_account_id is not null limit 1;
  return v_claim;
end;
$$;

comment on function credits_private.find_claim(text, text, text[]) is
  'The claim of a transaction that somebody has or had, or a null row.';

revoke all on function credits_private.find_claim(text, text, text[]) from public, anon, authenticated, service_role;
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
      c.closed_account_id is null,
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

-- from sql/credits/private/open_transaction.sql
-- open_transaction: locks a transaction by all of its names, and returns the one claim that counts.
--
-- What is not there yet is made, for p_user_id where one is given, so two events of one purchase wait for each other whichever
-- came first. Names that turn out to be of one transaction are joined: the one that has a user counts, the others lead to it,
-- and what was known under them moves over. What was credited under two names is join_claims' to mend.

create or replace function credits_private.open_transaction(
  p_user_id uuid,
  p_source text,
  p_store text,
  p_environment text,
  p_transaction_ids text[]
)
  returns credits_private.purchase_claims
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims;
  v_roots pg_catalog.text[] := '{}'::pg_catalog.text[];
  v_names pg_catalog.text[] := p_transaction_ids;
  v_name pg_catalog.text;
begin
  if cardinality(v_names) > 1 then
    v_names := array(select distinct n.name from unnest(v_names) as n (name) order by n.name);
  end if;
  foreach v_name in array v_names loop
    -- a new name leads to the preferred one, which is among these
    insert into credits_private.purchase_claims as c (
      store, environment, transaction_id, alias_of, user_id, source, claimed_at
    )
    values (
      p_store, p_environment, v_name,
      case when v_name <> p_transaction_ids[1] then p_transaction_ids[1] end,
      case when v_name = p_transaction_ids[1] then p_user_id end,
      case when v_name = p_transaction_ids[1] then p_source end,
      case when v_name = p_transaction_ids[1] and p_user_id is not null then credits_private.now() end
    )
    on conflict (store, environment, transaction_id) do nothing
    returning c.* into v_claim;
    continue when found and v_claim.alias_of is not null;
    if not found then
      loop
        update credits_private.purchase_claims as c
        set looks = c.looks + 1
        where c.store = p_store and c.environment = p_environment and c.transaction_id = v_name
        returning c.* into v_claim;
        exit when v_claim.alias_of is null;
        v_name := v_claim.alias_of;
      end loop;
    end if;
    if v_claim.transaction_id <> all (v_roots) then
      v_roots := v_roots || v_claim.transaction_id;
    end if;
  end loop;
  if cardinality(v_roots) > 1 then
    v_claim := credits_private.join_claims(p_store, p_environment, v_roots, p_transaction_ids);
  elsif v_claim.transaction_id <> v_roots[1] then
    select c.* into v_claim
    from credits_private.purchase_claims as c
    where c.store = p_store and c.environment = p_environment and c.transaction_id = v_roots[1];
  end if;
  if v_claim.user_id is null and v_claim.closed_account_id is null and p_user_id is not null then
    update credits_private.purchase_claims as c
    set user_id = p_user_id, source = p_source, claimed_at = credits_private.now()
    where c.store = p_store and c.environment = p_environment and c.transaction_id = v_claim.transaction_id
    returning c.* into v_claim;
  end if;
  return v_claim;
end;
$$;

comment on function credits_private.open_transaction(uuid, text, text, text, text[]) is
  'Locks the claim of a transaction, made where there is none, claimed for a user where one is given. Raises PT409 purchase_conflict.';

revoke all on function credits_private.open_transaction(uuid, text, text, text, text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/keep_fact.sql
-- keep_fact: writes down what a store said about a transaction; told again or further on, the fact grows.

create or replace function credits_private.keep_fact(
  p_claim credits_private.purchase_claims,
  p_kind text,
  p_ref text,
  p_product_id text,
  p_stage integer,
  p_cents bigint,
  p_basis_cents bigint,
  p_currency text,
  p_credits bigint,
  p_until timestamptz
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  insert into credits_private.purchase_facts as f (
    store, environment, transaction_id, kind, ref, product_id, stage, cents, basis_cents, currency, credits, until
  )
  values (
    p_claim.store, p_claim.environment, p_claim.transaction_id, p_kind, p_ref, p_product_id, p_stage, p_cents,
    p_basis_cents, p_currency, p_credits, p_until
  )
  on conflict (store, environment, transaction_id, kind, ref) do update
  set
    stage = greatest(f.stage, excluded.stage),
    cents = greatest(f.cents, excluded.cents),
    basis_cents = greatest(f.basis_cents, excluded.basis_cents),
    until = greatest(f.until, excluded.until);
end;
$$;

comment on function credits_private.keep_fact(
  credits_private.purchase_claims, text, text, text, integer, bigint, bigint, text, bigint, timestamptz
) is
  'Writes down a fact of a locked transaction; a known one takes the greater figures.';

revoke all on function credits_private.keep_fact(
  credits_private.purchase_claims, text, text, text, integer, bigint, bigint, text, bigint, timestamptz
) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refunded_share.sql
-- refunded_share: how much of a purchase has gone back, by all that is known of it.
--
-- The fold over its facts, and a pure question: the same facts give the same answer, in whatever order they came. Money
-- goes back by refunds (the greater of what a charge adds up to and what its refunds do by id, less those that failed) and by
-- disputes that were opened or lost; a refund and a dispute of the same money count once, since nothing goes back twice. Money
-- is measured against what was paid for the credits, without tax on top.

create or replace function credits_private.refunded_share(
  p_purchase public.purchase_transactions
)
  returns numeric
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_share numeric;
begin
  select
    -- three thirds are a whole
    least(1, round(
      greatest(
        coalesce(sum(s.share) filter (where s.kind = 'refund' and s.stage = 1), 0),
        coalesce(sum(s.share) filter (where s.kind = 'refunded'), 0)
          - coalesce(sum(s.share) filter (where s.kind = 'refund' and s.stage = 2), 0)
      )
      + coalesce(sum(s.share) filter (where s.kind = 'dispute' and s.stage between 1 and 3), 0),
      12
    ))
  into v_share
  from (
    select
      f.kind,
      f.stage,
      case
        when f.credits is not null then f.credits / nullif(t.credits, 0)
        when f.cents is null then 1
        when f.currency <> p_purchase.currency then coalesce(f.cents / nullif(f.basis_cents, 0)::numeric, 1)
        else coalesce(f.cents / nullif(least(t.cents, f.basis_cents, t.basis_cents), 0), 1)
      end as share
    from credits_private.purchase_facts as f
    cross join (
      -- what the whole transaction was paid for, and what its charges came to
      select
        sum(p.credits) as credits,
        greatest(
          case when bool_and(p.price_cents is not null) then sum(p.price_cents) end,
          (
            select max(b.cents)
            from credits_private.purchase_facts as b
            where b.store = p_purchase.store
              and b.environment = p_purchase.environment
              and b.transaction_id = p_purchase.transaction_id
              and b.kind = 'total'
          )
        ) as cents,
        (
          select max(b.basis_cents)
          from credits_private.purchase_facts as b
          where b.store = p_purchase.store
            and b.environment = p_purchase.environment
            and b.transaction_id = p_purchase.transaction_id
        )::numeric as basis_cents
      from public.purchase_transactions as p
      where p.user_id = p_purchase.user_id
        and p.store = p_purchase.store
        and p.environment = p_purchase.environment
        and p.transaction_id = p_purchase.transaction_id
    ) as t
    where f.store = p_purchase.store
      and f.environment = p_purchase.environment
      and f.transaction_id = p_purchase.transaction_id
      and f.kind in ('refund', 'refunded', 'dispute')
      -- a name that is no purchase here is another source's word for what is
      and (
        f.product_id is null
        or f.product_id = p_purchase.product_id
        or not exists (
          select
          from public.purchase_transactions as o
          where o.user_id = p_purchase.user_id
            and o.store = p_purchase.store
            and o.environment = p_purchase.environment
            and o.transaction_id = p_purchase.transaction_id
            and o.product_id = f.product_id
        )
      )
      and not exists (
        select
        from credits_private.purchase_facts as r
        where r.store = f.store
          and r.environment = f.environment
          and r.transaction_id = f.transaction_id
          and r.kind = 'reversal'
          and r.ref = f.ref
      )
  ) as s;
  return v_share;
end;
$$;

comment on function credits_private.refunded_share(public.purchase_transactions) is
  'The part of a purchase that has gone back, from 0 to 1.';

revoke all on function credits_private.refunded_share(public.purchase_transactions) from public, anon, authenticated, service_role;
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

-- from sql/credits/private/name_purchase.sql
-- name_purchase: the metadata of every ledger row of a purchase, by which it is found again.

create or replace function credits_private.name_purchase(
  p_purchase public.purchase_transactions
)
  returns jsonb
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return jsonb_build_object(
    'store', p_purchase.store, 'environment', p_purchase.environment, 'transaction_id', p_purchase.transaction_id,
    'product_id', p_purchase.product_id
  );
end;
$$;

comment on function credits_private.name_purchase(public.purchase_transactions) is
  'The store, environment, transaction and product of a purchase, as a JSON object.';

revoke all on function credits_private.name_purchase(public.purchase_transactions) from public, anon, authenticated, service_role;
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

-- from sql/credits/private/period_end.sql
-- period_end: until when the entitlements of a purchase last, by all that is known of it.
--
-- The latest end that was paid for or extended to; for ever where no source names one; cut off where it expired.

create or replace function credits_private.period_end(
  p_purchase public.purchase_transactions
)
  returns timestamptz
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_until pg_catalog.timestamptz;
begin
  select
    least(
      case
        when bool_or(f.ref like 'forever:%')
          and coalesce(max(f.until) filter (where f.ref not like 'expired:%') <= to_timestamp(0), true)
        then 'infinity'
        else max(f.until) filter (where f.ref not like 'expired:%')
      end,
      max(f.until) filter (where f.ref like 'expired:%')
    )
  into v_until
  from credits_private.purchase_facts as f
  where f.store = p_purchase.store
    and f.environment = p_purchase.environment
    and f.transaction_id = p_purchase.transaction_id
    and f.kind = 'period'
    and (
      f.product_id = p_purchase.product_id
      or not exists (
        select
        from public.purchase_transactions as o
        where o.user_id = p_purchase.user_id
          and o.store = p_purchase.store
          and o.environment = p_purchase.environment
          and o.transaction_id = p_purchase.transaction_id
          and o.product_id = f.product_id
      )
    );
  return nullif(v_until, 'infinity');
end;
$$;

comment on function credits_private.period_end(public.purchase_transactions) is
  'The end of the entitlements of a purchase, null for ever.';

revoke all on function credits_private.period_end(public.purchase_transactions) from public, anon, authenticated, service_role;
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

-- from sql/credits/private/find_product.sql
-- find_product: the product of a payment, checked against what was paid.
--
-- The store's own row comes before that of any store. A price is checked where both sides name one: paying less than the
-- product costs, or in another currency, is not credited.

create or replace function credits_private.find_product(
  p_fact credits_private.store_fact,
  p_at timestamptz
)
  returns public.credit_products
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_product public.credit_products;
begin
  select p.* into v_product
  from public.credit_products as p
  where p.product_id = p_fact.product_id
    and p.store in (p_fact.store, 'any')
    and (p.active_from is null or p.active_from <= p_at)
    and (p.active_to is null or p.active_to > p_at)
  order by p.store = 'any'
  limit 1;
  if not found then
    if p_fact.store = 'promotional' then
      v_product.credits := 0;
      v_product.bonus_credits := 0;
      v_product.trial_credits := 0;
      return v_product;
    end if;
    raise exception using
      errcode = 'PT422',
      message = 'unknown_product',
      detail = json_build_object('store', p_fact.store, 'product_id', p_fact.product_id),
      hint = 'This product is not on sale here: credits-db products set.';
  end if;
  if p_fact.is_trial is not true
    and (
      p_fact.list_cents < v_product.price_cents * coalesce(p_fact.quantity, 1)
      or v_product.price_cents is not null and p_fact.list_cents is not null and p_fact.currency is distinct from v_product.currency
    )
  then
    raise exception using
      errcode = '22023',
      message = 'price_mismatch',
      detail = json_build_object(
        'store', p_fact.store, 'product_id', p_fact.product_id, 'price_cents', p_fact.list_cents,
        'currency', p_fact.currency, 'expected_cents', v_product.price_cents, 'expected_currency', v_product.currency
      ),
      hint = 'Less was paid than this product costs, or in another currency.';
  end if;
  if (v_product.credits + v_product.bonus_credits) * coalesce(p_fact.quantity, 1)::numeric > 1000000000000 then
    raise exception using
      errcode = '22023',
      message = 'invalid_amount',
      detail = json_build_object('quantity', p_fact.quantity, 'product_id', p_fact.product_id),
      hint = 'A purchase is worth at most 1000000000000 credits.';
  end if;
  return v_product;
end;
$$;

comment on function credits_private.find_product(credits_private.store_fact, timestamptz) is
  'The product of a payment. Raises PT422 unknown_product, 22023 price_mismatch or invalid_amount.';

revoke all on function credits_private.find_product(credits_private.store_fact, timestamptz) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/check_sandbox.sql
-- check_sandbox: may this user have credits for a test purchase?
--
-- TestFlight and App Review buy in the sandbox, and so does anybody with a test account: the setting sandbox decides.

create or replace function credits_private.check_sandbox(
  p_user_id uuid
)
  returns void
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_policy pg_catalog.text;
begin
  select s.value into v_policy from credits_private.settings as s where s.name = 'sandbox';
  if v_policy = 'allow'
    or v_policy = 'allow_listed' and p_user_id::pg_catalog.text = any (
      string_to_array((select s.value from credits_private.settings as s where s.name = 'sandbox_users'), ',')
    )
  then
    return;
  end if;
  raise exception using
    errcode = '22023',
    message = 'sandbox_denied',
    detail = json_build_object('sandbox', v_policy),
    hint = 'A test purchase is credited where the setting sandbox allows it: credits-db settings set sandbox allow_listed.';
end;
$$;

comment on function credits_private.check_sandbox(uuid) is
  'Passes a test purchase where the setting sandbox allows it. Raises 22023 sandbox_denied.';

revoke all on function credits_private.check_sandbox(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/correct_trial.sql
-- correct_trial: the purchase turns out to be a free trial.
--
-- RevenueCat's virtual currency event does not say so, and may come first; the purchase event does. The part that a trial is
-- not worth goes back, as a fact like any other.

create or replace function credits_private.correct_trial(
  p_claim credits_private.purchase_claims,
  p_purchase public.purchase_transactions,
  p_at timestamptz
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_fact credits_private.store_fact;
  v_trial bigint;
begin
  v_fact.store := p_purchase.store;
  v_fact.product_id := p_purchase.product_id;
  v_trial := (credits_private.find_product(v_fact, p_at)).trial_credits;
  if p_purchase.credits > v_trial then
    perform credits_private.keep_fact(
      p_claim, 'refund', 'trial:' || p_purchase.product_id, p_purchase.product_id, 1, null, null, null,
      p_purchase.credits - v_trial, null
    );
  end if;
end;
$$;

comment on function credits_private.correct_trial(credits_private.purchase_claims, public.purchase_transactions, timestamptz) is
  'Takes back what a trial is not worth.';

revoke all on function credits_private.correct_trial(credits_private.purchase_claims, public.purchase_transactions, timestamptz) from public, anon, authenticated, service_role;
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
  if v_claim.closed_account_id is not null then
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

-- from sql/credits/private/record_fact.sql
-- record_fact: money went back, came back, or a period ended; the purchase follows, if it is here already.
--
-- The claimant's balance is locked before the claim. If the claimant turns out to be another under the lock of the claim
-- (the purchase came in between), their balance is taken without waiting, or the caller tries again: it waits for nobody out of turn.

create or replace function credits_private.record_fact(
  p_fact credits_private.store_fact
)
  returns uuid
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_user_id pg_catalog.uuid := (
    credits_private.find_claim(p_fact.store, p_fact.environment, p_fact.transaction_ids)
  ).user_id;
  v_claim credits_private.purchase_claims;
begin
  if v_user_id is not null then
    perform credits_private.lock_account(v_user_id);
  end if;
  v_claim := credits_private.open_transaction(null, null, p_fact.store, p_fact.environment, p_fact.transaction_ids);
  if v_claim.closed_account_id is not null then
    raise exception using
      errcode = 'PT410',
      message = 'account_closed',
      detail = '{}',
      hint = 'This transaction belonged to an account that was deleted.';
  end if;
  if v_claim.user_id <> v_user_id or v_user_id is null then
    perform from public.user_credits as a where a.user_id = v_claim.user_id for no key update skip locked;
    if v_claim.user_id is not null and not found then
      raise deadlock_detected using
        message = 'claimed_meanwhile',
        detail = '{}',
        hint = 'The purchase came in between: try again.';
    end if;
  end if;
  if p_fact.kind <> 'link' then
    perform credits_private.keep_fact(
      v_claim, p_fact.kind, p_fact.ref, p_fact.product_id, p_fact.stage, p_fact.cents, p_fact.basis_cents,
      p_fact.currency, null, p_fact.until
    );
  end if;
  if v_claim.user_id is not null then
    perform credits_private.settle_transaction(v_claim);
  end if;
  return v_claim.user_id;
end;
$$;

comment on function credits_private.record_fact(credits_private.store_fact) is
  'Writes down a fact and brings the purchase to it. Returns whose purchase it is, or null while that is unknown. Raises PT410 account_closed.';

revoke all on function credits_private.record_fact(credits_private.store_fact) from public, anon, authenticated, service_role;
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
  'Grants an entitlement and returns its row. Raises PT401, PT404 account_not_found, PT410 account_closed and 22023 invalid_argument.';

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

-- from sql/credits/private/read_entitlement.sql
-- read_entitlement: may this user use it now?

create or replace function credits_private.read_entitlement(
  p_user_id uuid,
  p_entitlement text
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return exists (
    select
    from public.user_entitlements as e
    where e.user_id = p_user_id
      and e.entitlement = p_entitlement
      and (e.active_until is null or e.active_until > credits_private.now())
  );
end;
$$;

comment on function credits_private.read_entitlement(uuid, text) is
  'Whether an entitlement of a user is active by the clock of the database.';

revoke all on function credits_private.read_entitlement(uuid, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/record_purchase.sql
-- record_purchase: the engine of record_purchase_for.

create or replace function credits_private.record_purchase(
  p_user_id uuid,
  p_store text,
  p_transaction_id text,
  p_product_id text,
  p_price_cents bigint,
  p_currency text,
  p_environment text,
  p_payload jsonb,
  p_quantity integer
)
  returns public.purchase_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_fact credits_private.store_fact;
  v_wrong pg_catalog.text := case
    when (lower(p_store) ~ '^[a-z][a-z0-9_]{0,49}$' and lower(p_store) <> 'any') is not true then 'store'
    when (length(p_transaction_id) between 1 and 255) is not true then 'transaction_id'
    when (length(p_product_id) between 1 and 255) is not true then 'product_id'
    when p_price_cents not between 0 and 1000000000000 then 'price_cents'
    when (p_price_cents is null) <> (p_currency is null) or p_currency !~* '^[a-z]{3}$' then 'currency'
    when (p_environment in ('PRODUCTION', 'SANDBOX')) is not true then 'environment'
    when (p_quantity between 1 and 999999) is not true then 'quantity'
    when (jsonb_typeof(p_payload) = 'object') is not true
      or pg_column_size(p_payload || '{}') > 65536
      or jsonb_path_exists(p_payload, '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))')
    then 'payload'
  end;
begin
  if v_wrong is not null then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', v_wrong),
      hint = case v_wrong
        when 'store' then 'A store is a word in lowercase: app_store, play_store, stripe, ...'
        when 'price_cents' then 'A price is a whole number of the smallest unit, 0 or more.'
        when 'currency' then 'A price has a currency, three letters, and a currency has a price.'
        when 'environment' then 'An environment is PRODUCTION or SANDBOX.'
        when 'quantity' then 'A quantity is a whole number from 1 to 999999.'
        when 'payload' then 'A payload is a JSON object of at most 64 kB, with numbers up to 1e308.'
        else 'An id has 1 to 255 characters.'
      end;
  end if;
  v_fact.store := lower(p_store);
  v_fact.environment := p_environment;
  v_fact.transaction_ids := array[p_transaction_id];
  v_fact.product_id := p_product_id;
  v_fact.stage := 2;
  v_fact.source := 'manual';
  v_fact.quantity := p_quantity;
  v_fact.price_cents := p_price_cents;
  v_fact.list_cents := p_price_cents;
  v_fact.currency := upper(p_currency);
  return credits_private.record_payment(p_user_id, 'manual', v_fact, p_payload, credits_private.now());
exception
  when sqlstate '22023' then
    if sqlerrm in ('price_mismatch', 'sandbox_denied') then
      raise exception using
        errcode = '22023',
        message = 'invalid_argument',
        detail = json_build_object(
          'argument', case sqlerrm when 'price_mismatch' then 'price_cents' else 'environment' end, 'reason', sqlerrm
        ),
        hint = case sqlerrm
          when 'price_mismatch' then 'Less was paid than this product costs, or in another currency.'
          else 'A test purchase is credited where the setting sandbox allows it.'
        end;
    end if;
    raise;
end;
$$;

comment on function credits_private.record_purchase(
  uuid, text, text, text, bigint, text, text, jsonb, integer
) is
  'Records a purchase that a service vouches for, credits it once, and returns it. Raises what record_purchase_for raises.';

revoke all on function credits_private.record_purchase(
  uuid, text, text, text, bigint, text, text, jsonb, integer
) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refund_purchase.sql
-- refund_purchase: the engine of public.refund_purchase.
--
-- A fact like those that stores send, named by the refund's id: the same id again changes nothing, and with another amount
-- it is refused.

create or replace function credits_private.refund_purchase(
  p_store text,
  p_transaction_id text,
  p_refund_id text,
  p_credits bigint,
  p_environment text
)
  returns public.purchase_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims := credits_private.find_claim(
    lower(p_store), p_environment, array[p_transaction_id]
  );
  v_user_id pg_catalog.uuid := v_claim.user_id;
  v_known credits_private.purchase_facts;
  v_purchase public.purchase_transactions;
begin
  if (length(p_refund_id) between 1 and 255) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'refund_id', 'length', length(p_refund_id)),
      hint = 'A refund has an id of 1 to 255 characters, so that it is not applied twice.';
  end if;
  if p_credits not between 1 and 1000000000000 then
    raise exception using
      errcode = '22023',
      message = 'invalid_amount',
      detail = json_build_object('amount', p_credits),
      hint = 'An amount is a whole number of credits from 1 to 1000000000000.';
  end if;
  if v_claim.closed_account_id is not null then
    raise exception using
      errcode = 'PT410',
      message = 'account_closed',
      detail = '{}',
      hint = 'This purchase is of an account that was deleted: nothing is left to take back.';
  end if;
  if v_user_id is null then
    raise exception using
      errcode = 'PT404',
      message = 'transaction_not_found',
      detail = json_build_object('store', p_store, 'transaction_id', p_transaction_id),
      hint = 'No purchase is known under this transaction.';
  end if;
  perform credits_private.lock_account(v_user_id);
  v_claim := credits_private.open_transaction(null, null, lower(p_store), p_environment, array[p_transaction_id]);
  select f.* into v_known
  from credits_private.purchase_facts as f
  where f.store = v_claim.store
    and f.environment = v_claim.environment
    and f.transaction_id = v_claim.transaction_id
    and f.kind = 'refund'
    and f.ref = p_refund_id;
  if found and v_known.credits is distinct from p_credits then
    raise exception using
      errcode = 'PT422',
      message = 'idempotency_key_reused',
      detail = json_build_object('refund_id', p_refund_id, 'credits', v_known.credits),
      hint = 'This refund is known with another amount: use a new id for another refund.';
  end if;
  perform credits_private.keep_fact(v_claim, 'refund', p_refund_id, null, 1, null, null, null, p_credits, null);
  perform credits_private.settle_transaction(v_claim);
  select p.* into v_purchase
  from public.purchase_transactions as p
  where p.user_id = v_user_id
    and p.store = v_claim.store
    and p.environment = v_claim.environment
    and p.transaction_id = v_claim.transaction_id
  order by p.product_id
  limit 1;
  return v_purchase;
end;
$$;

comment on function credits_private.refund_purchase(text, text, text, bigint, text) is
  'Takes back all of a purchase, or so many credits of it, and returns the purchase. Raises what public.refund_purchase raises.';

revoke all on function credits_private.refund_purchase(text, text, text, bigint, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refuse_stranger.sql
-- refuse_stranger: nobody here has this name; unless it, or the transaction, is of somebody who has left.

create or replace function credits_private.refuse_stranger(
  p_provider text,
  p_fact credits_private.store_fact
)
  returns void
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims := credits_private.find_claim(
    p_fact.store, p_fact.environment, p_fact.transaction_ids
  );
begin
  if v_claim.closed_account_id is not null or credits_private.find_gone(p_provider, p_fact.names) <> '{}' then
    raise exception using
      errcode = 'PT410',
      message = 'account_closed',
      detail = '{}',
      hint = 'This is about an account that was deleted.';
  end if;
  raise exception using
    errcode = 'PT404',
    message = 'unknown_user',
    detail = json_build_object('names', cardinality(p_fact.names)),
    hint = 'No account has one of these names yet: the event waits for its user.';
end;
$$;

comment on function credits_private.refuse_stranger(text, credits_private.store_fact) is
  'Raises PT404 unknown_user, or PT410 account_closed.';

revoke all on function credits_private.refuse_stranger(text, credits_private.store_fact) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/is_not_sold.sql
-- is_not_sold: is this line of an invoice no product of ours, beside another line that is?

create or replace function credits_private.is_not_sold(
  p_fact credits_private.store_fact,
  p_facts credits_private.store_fact[]
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return not exists (
    select
    from public.credit_products as p
    where p.product_id = p_fact.product_id and p.store in (p_fact.store, 'any')
  )
  and exists (
    select
    from unnest(p_facts) as f
    join public.credit_products as p on p.product_id = f.product_id and p.store in (f.store, 'any')
  );
end;
$$;

comment on function credits_private.is_not_sold(credits_private.store_fact, credits_private.store_fact[]) is
  'Whether a payment is of no product here, while another one of the same event is.';

revoke all on function credits_private.is_not_sold(credits_private.store_fact, credits_private.store_fact[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/apply_store_event.sql
-- apply_store_event: does what the facts of an event say.
--
-- Runs in a subtransaction of attempt_store_event: whatever it raises undoes all of it and becomes the reason of the event.
-- Names are learned on the way (find_user), from events that change nothing else too.

create or replace function credits_private.apply_store_event(
  p_event credits_private.store_events,
  p_facts credits_private.store_fact[]
)
  returns credits_private.store_events
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event credits_private.store_events := p_event;
  v_fact credits_private.store_fact;
  v_user_id pg_catalog.uuid;
  v_former pg_catalog.uuid[];
  v_unclaimed pg_catalog.text[];
  v_name pg_catalog.text;
  v_found pg_catalog.uuid;
begin
  v_event.state := 'ignored';
  v_event.reason := 'changes_nothing';
  foreach v_fact in array p_facts loop
    if v_fact.kind not in ('nothing', 'alias', 'transfer')
      and (v_fact.environment in ('PRODUCTION', 'SANDBOX')) is not true
    then
      perform credits_private.refuse_shape('environment');
    end if;
    case v_fact.kind
      when 'nothing' then
        v_user_id := credits_private.find_user(p_event.provider, v_fact.names, false);
        v_event.reason := v_fact.ref;
      when 'alias' then
        v_user_id := credits_private.find_user(p_event.provider, v_fact.names, false);
      when 'payment' then
        v_user_id := coalesce(
          credits_private.find_user(p_event.provider, v_fact.names, true),
          (credits_private.find_claim(v_fact.store, v_fact.environment, v_fact.transaction_ids)).user_id
        );
        if v_user_id is null then
          perform credits_private.refuse_stranger(p_event.provider, v_fact);
        end if;
        -- an invoice may bill for things that are no business of ours, beside one that is
        continue when cardinality(p_facts) > 1 and credits_private.is_not_sold(v_fact, p_facts);
        perform credits_private.record_payment(
          v_user_id, p_event.provider, v_fact,
          jsonb_build_object('event_id', p_event.event_id, 'type', p_event.type), p_event.received_at
        );
        v_event.state := 'processed';
      when 'transfer' then
        if p_event.state = 'processed' then
          return p_event;  -- told again, it would undo the transfers after it
        end if;
        v_user_id := credits_private.find_user(p_event.provider, v_fact.names, true);
        if v_user_id is null then
          perform credits_private.refuse_stranger(p_event.provider, v_fact);
        end if;
        v_former := '{}';
        v_unclaimed := '{}';
        foreach v_name in array v_fact.former_names loop
          v_found := credits_private.find_user(p_event.provider, array[v_name], false);
          if v_found is null then
            v_unclaimed := v_unclaimed || v_name;
          else
            v_former := v_former || v_found;
          end if;
        end loop;
        perform credits_private.transfer_entitlements(
          v_user_id, v_former, v_fact.store, v_fact.environment
        );
        perform credits_private.find_user(
          -- other names of an account that we know stay its own
          p_event.provider, coalesce(v_former[1], v_user_id)::pg_catalog.text || v_unclaimed, false
        );
        v_event.state := 'processed';
      else
        v_user_id := credits_private.record_fact(v_fact);
        v_event.state := 'processed';
        if v_user_id is null then
          v_event.reason := 'before_purchase';
        end if;
        if v_fact.names <> '{}' then
          v_user_id := coalesce(v_user_id, credits_private.find_user(p_event.provider, v_fact.names, false));
        end if;
    end case;

    if v_event.state = 'processed' and v_event.reason = 'changes_nothing' then
      v_event.reason := null;
    end if;
    v_event.user_id := coalesce(v_user_id, v_event.user_id);
  end loop;
  if v_event.user_id is null and credits_private.find_gone(p_event.provider, p_facts[1].names) <> '{}' then
    perform credits_private.refuse_stranger(p_event.provider, p_facts[1]);
  end if;
  return v_event;
end;
$$;

comment on function credits_private.apply_store_event(credits_private.store_events, credits_private.store_fact[]) is
  'Does what the facts of an event say, and returns the event with its state. Raises whatever stands in the way.';

revoke all on function credits_private.apply_store_event(credits_private.store_events, credits_private.store_fact[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/lock_names.sql
-- lock_names: a sign-up and an event that names its user come one after the other.
--
-- Neither sees the other before it has committed: without this, an event could park while its user signs up. Held to the end of
-- the transaction, taken in one order.

create or replace function credits_private.lock_names(
  p_names text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_name pg_catalog.text;
begin
  for v_name in
    select distinct n.name
    from unnest(p_names) as n (name)
    where n.name like '________-____-____-____-____________'
    order by n.name
  loop
    perform pg_advisory_xact_lock(hashtextextended('credits_private.store_event_names:' || v_name, 0));
  end loop;
end;
$$;

comment on function credits_private.lock_names(text[]) is
  'Locks the ids of users among these names, until the transaction ends.';

revoke all on function credits_private.lock_names(text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/names_in.sql
-- names_in: ids of users and addresses, anywhere in a body, in lowercase.
--
-- Reads the text as it came: as jsonb, a few bytes of numbers print to megabytes. Only texts with escapes are read twice.

create or replace function credits_private.names_in(
  p_body json
)
  returns text[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_text pg_catalog.text := p_body::pg_catalog.text;
begin
  if strpos(v_text, '\u') > 0 then
    select concat_ws(' ', v_text, string_agg(s.text #>> '{}', ' '))
    into v_text
    from jsonb_path_query(credits_private.read_json(p_body), '$.** ? (@.type() == "string")') as s (text);
  end if;
  return array(
    select distinct rtrim(lower(m.match[1]), '.')
    from regexp_matches(
      v_text,
      '([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[^\s"\\<>(),:;@]+@[^\s"\\<>(),:;@]+)', 'g'
    ) as m (match)
    where length(m.match[1]) <= 255
  );
end;
$$;

comment on function credits_private.names_in(json) is
  'All ids of users and addresses in a body.';

revoke all on function credits_private.names_in(json) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/names_others.sql
-- names_others: does an event name anybody but a user who is leaving?
--
-- Somebody who is here, or is still to come: an id that no deleted user had, or a provider's name for another user. What
-- an event does not name as a person does not count: every event of RevenueCat has a UUID, and so have devices. In an
-- event that cannot be read yet, only who is here counts.

create or replace function credits_private.names_others(
  p_user_id uuid,
  p_event credits_private.store_events,
  p_key bytea[]
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_document pg_catalog.jsonb := credits_private.read_json(p_event.body);
  v_fact credits_private.store_fact;
  v_names pg_catalog.text[];
begin
  begin
    v_fact := (
      case p_event.provider
        when 'stripe' then credits_private.read_stripe_event(v_document)
        else credits_private.read_revenuecat_event(v_document)
      end
    )[1];
    v_names := v_fact.names || v_fact.former_names;
  exception
    when others then
      v_names := array(
        select u.id::pg_catalog.text
        from auth.users as u
        where u.deleted_at is null and u.id = any (array(
          select n.name::pg_catalog.uuid from unnest(credits_private.names_in(p_event.body)) as n (name) where n.name not like '%@%'
        ))
      );
  end;
  return exists (
    select
    from unnest(v_names) as n (name)
    where case
      when n.name like '________-____-____-____-____________'
        then n.name <> '00000000-0000-0000-0000-000000000000' and not exists (
          select
          from credits_private.closed_identities as c
          where c.identity_hash = credits_private.identity_hash('user', n.name, p_key)
        )
      else exists (
        select
        from credits_private.store_customers as c
        where c.provider = p_event.provider and c.name = n.name and c.user_id <> p_user_id
      )
    end
  );
end;
$$;

comment on function credits_private.names_others(uuid, credits_private.store_events, bytea[]) is
  'Whether an event names somebody who has not left, besides this user. The third argument is identity_key().';

revoke all on function credits_private.names_others(uuid, credits_private.store_events, bytea[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/find_gone.sql
-- find_gone: which of these names are of somebody who has left?
--
-- Ids of users, or a provider's names for them. A name that somebody else has by now (store_customers) is theirs.

create or replace function credits_private.find_gone(
  p_provider text,
  p_names text[]
)
  returns text[]
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_key pg_catalog.bytea[] := credits_private.identity_key();
begin
  return array(
    select distinct n.name
    from unnest(p_names) as n (name)
    join credits_private.closed_identities as c
      on c.identity_hash = case
        when n.name like '________-____-____-____-____________' then credits_private.identity_hash('user', n.name, v_key)
        else credits_private.identity_hash('name', p_provider || ':' || n.name, v_key)
      end
    where not exists (
      select from credits_private.store_customers as s where s.provider = p_provider and s.name = n.name
    )
  );
end;
$$;

comment on function credits_private.find_gone(text, text[]) is
  'Those of these names that a deleted account had.';

revoke all on function credits_private.find_gone(text, text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/find_gone_addresses.sql
-- find_gone_addresses: which of these are addresses of somebody who has left, and of nobody who is here?
--
-- A late event is kept without them. That an event carries an address decides nothing else: anybody may pay with it.

create or replace function credits_private.find_gone_addresses(p_names text[])
  returns text[]
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_key pg_catalog.bytea[] := credits_private.identity_key();
  v_gone pg_catalog.text[] := array(
    select n.name
    from unnest(p_names) as n (name)
    join credits_private.closed_identities as c
      on c.identity_hash = case when n.name like '%@%' then credits_private.identity_hash('address', n.name, v_key) end
  );
begin
  if v_gone = '{}' then
    return v_gone;  -- nearly always: auth.users need not be read
  end if;
  return array(
    select n.name
    from unnest(v_gone) as n (name)
    where not exists (select from auth.users as u where lower(u.email) = n.name and u.deleted_at is null)
  );
end;
$$;

comment on function credits_private.find_gone_addresses(text[]) is
  'Those of these names that are addresses, in lowercase, which only deleted users had.';

revoke all on function credits_private.find_gone_addresses(text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/scrub_body.sql
-- scrub_body: a body without some words for people: zeros stand where they stood.
--
-- For an event that is somebody else's too. Ids and addresses are found within texts and in either case; names of
-- customers only where they are a whole text, since an app may call somebody 42.

create or replace function credits_private.scrub_body(
  p_body json,
  p_words text[]
)
  returns json
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_body pg_catalog.text := coalesce(credits_private.read_json(p_body)::pg_catalog.text, p_body::pg_catalog.text);
  v_nobody constant pg_catalog.text := '00000000-0000-0000-0000-000000000000';
  v_word pg_catalog.text;
begin
  foreach v_word in array p_words loop
    if v_word like '%@%' or v_word like '________-____-____-____-____________' then
      v_word := to_json(v_word)::pg_catalog.text;
      v_body := regexp_replace(v_body, '***=' || substr(v_word, 2, length(v_word) - 2), v_nobody, 'gi');
    else
      v_body := replace(v_body, to_json(v_word)::pg_catalog.text, to_json(v_nobody)::pg_catalog.text);
    end if;
  end loop;
  return v_body::pg_catalog.json;
end;
$$;

comment on function credits_private.scrub_body(json, text[]) is
  'A body in which ids, addresses and names are replaced by zeros.';

revoke all on function credits_private.scrub_body(json, text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/forget_user.sql
-- forget_user: no event names somebody who has left, and nothing late brings them back.
--
-- The end of every deletion, also of a user who never had an account. Their events keep their figures and lose their
-- bodies; so do events of nobody that name them and have nothing left to do. What is somebody else's, or may be yet,
-- stays, with zeros where they were named: a payment that waits is closed only where it names them, by their id or a
-- name that a store had for them, and nobody else. An address proves nothing: anybody may pay with it, or have signed
-- up with it. Comes after balance and claims: the order in which an event is done.

create or replace function credits_private.forget_user(
  p_user_id uuid,
  p_address text
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_key pg_catalog.bytea[] := credits_private.identity_key();
  v_id pg_catalog.text := p_user_id::pg_catalog.text;
  v_words pg_catalog.text[] := array_remove(
    array[v_id, nullif(lower(btrim(p_address)), '')]
    || array(select c.name from credits_private.store_customers as c where c.user_id = p_user_id),
    null
  );
  v_event pg_catalog.record;
  v_is_named boolean;
begin
  insert into credits_private.closed_identities (identity_hash, closed_at)
  select i.hash, (credits_private.now() at time zone 'UTC')::pg_catalog.date
  from (
    select credits_private.identity_hash('user', v_id, v_key)
    union
    select credits_private.identity_hash('address', p_address, v_key)
    union
    select credits_private.identity_hash('name', c.provider || ':' || c.name, v_key)
    from credits_private.store_customers as c
    where c.user_id = p_user_id
  ) as i (hash)
  where i.hash is not null
  order by i.hash
  on conflict (identity_hash) do nothing;
  for v_event in
    select e.provider, e.event_id from credits_private.store_events as e where e.user_id = p_user_id
    union
    select n.provider, n.event_id from credits_private.store_event_names as n where n.name = any (v_words)
    order by provider, event_id
  loop
    v_is_named := exists (
      select
      from credits_private.store_event_names as n
      left join credits_private.store_customers as c
        on c.provider = n.provider and c.name = n.name and c.user_id = p_user_id
      where n.provider = v_event.provider
        and n.event_id = v_event.event_id
        and (n.name = v_id or c.user_id is not null)
    );
    update credits_private.store_events as e
    set
      body = credits_private.scrub_body(e.body, v_words),
      -- whose it is may have been the question
      retry_at = case when v_is_named and e.state = 'parked' then credits_private.now() else e.retry_at end
    where e.provider = v_event.provider
      and e.event_id = v_event.event_id
      and e.user_id is distinct from p_user_id
      and (
        e.user_id is not null
        or e.state in ('pending', 'parked', 'failed')
          and (not v_is_named or credits_private.names_others(p_user_id, e, v_key))
      );
    if found then
      delete from credits_private.store_event_names as n
      where n.name = any (v_words) and n.provider = v_event.provider and n.event_id = v_event.event_id;
      continue;
    end if;
    update credits_private.store_events as e
    set
      user_id = null,
      retry_at = null,
      state = case when e.state in ('pending', 'parked') then 'ignored' else e.state end,
      reason = case when e.state in ('pending', 'parked') then 'account_closed' else e.reason end,
      details = '{}',
      body = null,
      body_sha256 = coalesce(e.body_sha256, encode(sha256(convert_to(e.body::pg_catalog.text, 'UTF8')), 'hex'))
    where e.provider = v_event.provider and e.event_id = v_event.event_id;
    delete from credits_private.store_event_names as n
    where n.provider = v_event.provider and n.event_id = v_event.event_id;
  end loop;
  delete from credits_private.store_customers as c where c.user_id = p_user_id;
  update credits_private.settings as s
  set value = array_to_string(array_remove(string_to_array(s.value, ','), v_id), ',')
  where s.name = 'sandbox_users' and strpos(s.value, v_id) > 0;
end;
$$;

comment on function credits_private.forget_user(uuid, text) is
  'Takes a deleted user out of all events, and remembers by keyed hashes that they have left.';

revoke all on function credits_private.forget_user(uuid, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/remove_ledger.sql
-- remove_ledger: takes the ledger rows of an account that has just gone, and leaves what they came to.

create or replace function credits_private.remove_ledger(
  p_user_id uuid,
  p_closed_account_id uuid
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  insert into credits_private.closed_totals (closed_account_id, month, type, credits, operations)
  select p_closed_account_id, date_trunc('month', t.created_at at time zone 'UTC')::pg_catalog.date, t.type, sum(t.amount), count(*)
  from public.credit_transactions as t
  where t.user_id = p_user_id
  group by 2, 3;
  delete from public.credit_transactions as t where t.user_id = p_user_id;
end;
$$;

comment on function credits_private.remove_ledger(uuid, uuid) is
  'Deletes the ledger rows of a deleted account, and keeps their totals by month.';

revoke all on function credits_private.remove_ledger(uuid, uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/remove_lots.sql
-- remove_lots: holds, lots, grants and notices go with the account.

create or replace function credits_private.remove_lots(
  p_user_id uuid
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  delete from public.credit_holds as h where h.user_id = p_user_id;
  delete from credits_private.hold_lots as h where h.user_id = p_user_id;
  delete from credits_private.lot_allocations as t where t.user_id = p_user_id;
  delete from credits_private.credit_lots as l where l.user_id = p_user_id;
  delete from credits_private.recurring_grants as g where g.user_id = p_user_id and g.entitlement is null;
  update credits_private.recurring_grants as g
  set told_to = '00000000-0000-0000-0000-000000000000'
  where g.told_to = p_user_id;
  delete from credits_private.due_accounts as d where d.user_id = p_user_id;
  delete from credits_private.outbox as o where o.user_id = p_user_id;
end;
$$;

comment on function credits_private.remove_lots(uuid) is
  'Deletes holds, lots, allocations, grants and notices of a deleted account.';

revoke all on function credits_private.remove_lots(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/remove_purchases.sql
-- remove_purchases: what an account that has just gone leaves of its purchases.
--
-- Purchases and entitlements go with it and leave what they came to. Claims stay, closed and without the user, so that
-- nobody is credited for the same transactions again. An entitlement that was transferred stays with who has it.

create or replace function credits_private.remove_purchases(
  p_user_id uuid,
  p_closed_account_id uuid
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
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
    where c.user_id = p_user_id and c.entitled_user_id is not null and p.status = 'completed'
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
  insert into credits_private.closed_sales (
    closed_account_id, month, store, environment, product_id, status, currency, purchases, quantity, credits,
    refunded_credits, price_cents
  )
  select
    p_closed_account_id, date_trunc('month', p.created_at at time zone 'UTC')::pg_catalog.date, p.store, p.environment, p.product_id,
    p.status, p.currency, count(*), sum(p.quantity), sum(p.credits), sum(p.refunded_credits), sum(p.price_cents)
  from public.purchase_transactions as p
  where p.user_id = p_user_id
  group by 2, 3, 4, 5, 6, 7;
  delete from public.user_entitlements as e where e.user_id = p_user_id;
  delete from public.purchase_transactions as p where p.user_id = p_user_id;
  update credits_private.purchase_claims as c
  set user_id = null, closed_account_id = p_closed_account_id
  where c.user_id = p_user_id;
  update credits_private.purchase_claims as c
  set entitled_user_id = '00000000-0000-0000-0000-000000000000'
  where c.entitled_user_id = p_user_id;
end;
$$;

comment on function credits_private.remove_purchases(uuid, uuid) is
  'Removes purchases and entitlements of a deleted account, keeps their totals by month, and closes its claims.';

revoke all on function credits_private.remove_purchases(uuid, uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/name_store_event.sql
-- name_store_event: notes whom an event names beside its own user.
--
-- So that a sign-up finds what waits for it, and a deletion every body with the user's id or address in it: of an event
-- without a user all names and every id and address anywhere in the body, of another one the ids of other users and
-- addresses that are not its user's.

create or replace function credits_private.name_store_event(
  p_event credits_private.store_events,
  p_names text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_address pg_catalog.text := (select lower(u.email) from auth.users as u where u.id = p_event.user_id);
begin
  insert into credits_private.store_event_names (name, provider, event_id)
  select n.name, p_event.provider, p_event.event_id
  from unnest(p_names) as n (name)
  where p_event.user_id is null
    or n.name like '________-____-____-____-____________' and n.name <> p_event.user_id::pg_catalog.text
  union
  select n.name, p_event.provider, p_event.event_id
  from unnest(credits_private.names_in(p_event.body)) as n (name)
  where p_event.user_id is null
    or n.name like '%@%' and n.name is distinct from v_address
    or n.name not like '%@%' and n.name <> p_event.user_id::pg_catalog.text
      and exists (select from auth.users as u where u.id = n.name::pg_catalog.uuid)
  on conflict (name, provider, event_id) do nothing;
end;
$$;

comment on function credits_private.name_store_event(credits_private.store_events, text[]) is
  'Notes the names in an event that are not its user''s.';

revoke all on function credits_private.name_store_event(credits_private.store_events, text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/attempt_store_event.sql
-- attempt_store_event: tries an event, and puts down what came of it.
--
-- The effect runs in a subtransaction: whatever goes wrong, a timeout included, undoes the effect and leaves an event that
-- says why, for the next call or for maintenance. A deadlock is tried again at once. Only a serialization failure is
-- raised, since a transaction that cannot see the present cannot put anything down either; the store sends again.
-- A body about people who have all left is not kept; of others, whoever has left is taken out, and their address.

create or replace function credits_private.attempt_store_event(
  p_event credits_private.store_events,
  p_document jsonb
)
  returns credits_private.store_events
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event credits_private.store_events := p_event;
  v_facts credits_private.store_fact[] := '{}'::credits_private.store_fact[];
  v_names pg_catalog.text[];
  v_gone pg_catalog.text[];
  v_is_locked boolean := false;
  v_state pg_catalog.text;
  v_message pg_catalog.text;
  v_detail pg_catalog.text;
begin
  v_event.attempts := p_event.attempts + 1;
  for v_attempt in 1 .. 6 loop
    begin
      if p_document is null then
        perform credits_private.refuse_shape('body');
      end if;
      v_facts := case p_event.provider
        when 'stripe' then credits_private.read_stripe_event(p_document)
        else credits_private.read_revenuecat_event(p_document)
      end;
      v_event.store := v_facts[1].store;
      v_event.environment := v_facts[1].environment;
      v_event.transaction_id := v_facts[1].transaction_ids[1];
      v_event.product_id := v_facts[1].product_id;
      v_event := credits_private.apply_store_event(v_event, v_facts);
      v_event.details := '{}';
      exit;
    exception
      when query_canceled or others then
        get stacked diagnostics
          v_state = returned_sqlstate,
          v_message = message_text,
          v_detail = pg_exception_detail;
        if v_state = '40001' then
          raise;
        end if;
        continue when v_state = '40P01' and v_attempt < 5;
        if v_message = 'unknown_user' and not v_is_locked then
          perform credits_private.lock_names(v_facts[1].names);
          v_is_locked := true;
          continue;  -- they may have signed up just now
        end if;
        v_event.state := case
          when v_message in ('unknown_user', 'account_not_found', 'ambiguous_user', 'unmapped_transaction') then 'parked'
          when v_message in ('sandbox_denied', 'account_closed') then 'ignored'
          when v_message in (
            'unknown_product', 'wrong_shape', 'price_mismatch', 'purchase_conflict', 'invalid_amount', 'balance_limit'
          ) then 'failed'
          -- a body that is JSON but holds what Postgres has no value for
          when v_state in ('22P02', '22P05', '22003', '22023', '22007', '22008', '54000') then 'failed'
          else 'pending'
        end::public.store_event_state;
        v_event.reason := case
          when v_message ~ '^[a-z_]+$' and v_state ~ '^(PT...|22023)$' then v_message
          when v_event.state = 'failed' then 'wrong_shape'
          else 'error'
        end;
        v_event.details := case
          when v_event.reason in ('error', 'wrong_shape') and v_state <> '22023'
            then jsonb_build_object('sqlstate', v_state, 'message', left(v_message, 500))
          else coalesce(nullif(v_detail, ''), '{}')::pg_catalog.jsonb
        end;
        exit;
    end;
  end loop;

  v_event.processed_at := credits_private.now();
  v_event.retry_at := case
    when v_event.state in ('pending', 'parked')
      then v_event.processed_at + least(interval '1 minute' * power(2, least(v_event.attempts, 20) - 1), interval '1 day')
  end;
  if p_event.retry_at is not null or p_event.attempts > 0 then
    delete from credits_private.store_event_names as n
    where n.provider = v_event.provider and n.event_id = v_event.event_id;
  end if;
  -- all facts of an event name the same people
  v_names := coalesce(v_facts[1].names || v_facts[1].former_names, '{}');
  v_gone := credits_private.find_gone(v_event.provider, v_names || credits_private.names_in(v_event.body));
  if v_event.reason = 'account_closed'
    or v_event.user_id is null and v_event.state not in ('pending', 'parked') and v_gone <> '{}'
  then
    v_event.body_sha256 := encode(sha256(convert_to(v_event.body::pg_catalog.text, 'UTF8')), 'hex');
    v_event.body := null;
    return v_event;
  end if;
  v_gone := v_gone || credits_private.find_gone_addresses(credits_private.names_in(v_event.body));
  if v_gone <> '{}' then
    -- stored before, or about to be
    update credits_private.store_events as e
    set body = credits_private.scrub_body(e.body, v_gone)
    where e.provider = v_event.provider and e.event_id = v_event.event_id;
    v_event.body := credits_private.scrub_body(v_event.body, v_gone);
  end if;
  perform credits_private.name_store_event(
    v_event, array(select n.name from unnest(v_names) as n (name) where n.name <> all (v_gone) and lower(n.name) <> all (v_gone))
  );
  return v_event;
end;
$$;

comment on function credits_private.attempt_store_event(credits_private.store_events, jsonb) is
  'Tries an event and returns it with its state. Raises 40001 alone.';

revoke all on function credits_private.attempt_store_event(credits_private.store_events, jsonb) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/save_store_event.sql
-- save_store_event: writes an event and its state; what is done stays done.
--
-- Two deliveries of one event may both have tried it, the second in vain or with nothing left to do: the row keeps the better end.

create or replace function credits_private.save_store_event(
  p_event credits_private.store_events
)
  returns credits_private.store_events
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event credits_private.store_events;
begin
  insert into credits_private.store_events as e (
    provider, event_id, type, state, reason, details, user_id, store, environment, transaction_id, product_id, attempts,
    received_at, processed_at, retry_at, body, body_sha256
  )
  values (
    p_event.provider, p_event.event_id, p_event.type, p_event.state, p_event.reason, p_event.details, p_event.user_id,
    p_event.store, p_event.environment, p_event.transaction_id, p_event.product_id, p_event.attempts,
    p_event.received_at, p_event.processed_at, p_event.retry_at, p_event.body, p_event.body_sha256
  )
  on conflict (provider, event_id) do update
  set
    state = excluded.state,
    reason = excluded.reason,
    details = excluded.details,
    user_id = excluded.user_id,
    store = excluded.store,
    environment = excluded.environment,
    transaction_id = excluded.transaction_id,
    product_id = excluded.product_id,
    attempts = excluded.attempts,
    processed_at = excluded.processed_at,
    retry_at = excluded.retry_at,
    body = case when excluded.body_sha256 is null then e.body end,
    body_sha256 = coalesce(excluded.body_sha256, e.body_sha256)
  where e.state <> 'processed' or excluded.state = 'processed'
  returning e.* into v_event;
  if not found then
    select e.* into v_event
    from credits_private.store_events as e
    where e.provider = p_event.provider and e.event_id = p_event.event_id;
  end if;
  return v_event;
end;
$$;

comment on function credits_private.save_store_event(credits_private.store_events) is
  'Writes an event with its state and returns the row.';

revoke all on function credits_private.save_store_event(credits_private.store_events) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/show_store_event.sql
-- show_store_event: a row of the inbox as callers see it, without the body.

create or replace function credits_private.show_store_event(
  p_event credits_private.store_events
)
  returns public.store_event
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return row(
    p_event.provider, p_event.event_id, p_event.type, p_event.state, p_event.reason, p_event.details, p_event.user_id,
    p_event.store, p_event.environment, p_event.transaction_id, p_event.product_id, p_event.attempts,
    p_event.received_at, p_event.processed_at
  )::public.store_event;
end;
$$;

comment on function credits_private.show_store_event(credits_private.store_events) is
  'An event without its body.';

revoke all on function credits_private.show_store_event(credits_private.store_events) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/take_store_event.sql
-- take_store_event: stores what a provider sent, and does what it says.
--
-- The engine of process_*_event and of the webhooks. Stored in the same call whatever the effect did, so the store is told
-- that it may forget. An event that was done is answered from the inbox; one that was not is tried again. With p_deferred it
-- is only stored: a server that commits the body first loses nothing if it dies over the effect.

create or replace function credits_private.take_store_event(
  p_provider text,
  p_body json,
  p_deferred boolean
)
  returns public.store_event
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_document pg_catalog.jsonb := credits_private.read_json(p_body);
  v_head pg_catalog.jsonb := case p_provider when 'revenuecat' then v_document -> 'event' else v_document end;
  v_event credits_private.store_events;
  v_id pg_catalog.text;
begin
  if jsonb_typeof(v_head -> 'id') = 'string' and length(v_head ->> 'id') between 1 and 255 then
    v_id := v_head ->> 'id';
  else
    v_id := 'sha256:' || encode(sha256(convert_to(p_body::pg_catalog.text, 'UTF8')), 'hex');
  end if;
  select e.* into v_event
  from credits_private.store_events as e
  where e.provider = p_provider and e.event_id = v_id;
  if v_event.state in ('processed', 'ignored') or v_event.state is not null and p_deferred then
    return credits_private.show_store_event(v_event);
  end if;
  if v_event.state is null then
    v_event.provider := p_provider;
    v_event.event_id := v_id;
    v_event.type := left(case when jsonb_typeof(v_head -> 'type') = 'string' then v_head ->> 'type' end, 255);
    v_event.state := 'pending';
    v_event.details := '{}';
    v_event.attempts := 0;
    v_event.received_at := credits_private.now();
    v_event.body := p_body;
  end if;
  if p_deferred then
    v_event.retry_at := v_event.received_at;
    perform credits_private.name_store_event(v_event, '{}');
  else
    v_event := credits_private.attempt_store_event(v_event, v_document);
  end if;
  return credits_private.show_store_event(credits_private.save_store_event(v_event));
end;
$$;

comment on function credits_private.take_store_event(text, json, boolean) is
  'Stores an event, does what it says, and returns it. The caller has checked the body.';

revoke all on function credits_private.take_store_event(text, json, boolean) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/run_store_event.sql
-- run_store_event: tries an event of the inbox once more.

create or replace function credits_private.run_store_event(
  p_provider text,
  p_event_id text
)
  returns public.store_event
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event credits_private.store_events;
begin
  select e.* into v_event
  from credits_private.store_events as e
  where e.provider = p_provider and e.event_id = p_event_id;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'event_not_found',
      detail = json_build_object('provider', p_provider, 'event_id', p_event_id),
      hint = 'There is no such event: credits-db events list.';
  end if;
  if v_event.body is not null then
    v_event := credits_private.save_store_event(
      credits_private.attempt_store_event(v_event, credits_private.read_json(v_event.body))
    );
  end if;
  return credits_private.show_store_event(v_event);
end;
$$;

comment on function credits_private.run_store_event(text, text) is
  'Tries a stored event again and returns it. Raises PT404 event_not_found.';

revoke all on function credits_private.run_store_event(text, text) from public, anon, authenticated, service_role;
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

-- from sql/credits/private/secrets_match.sql
-- secrets_match: are two texts equal, in a time that tells nothing about where they differ?
--
-- Compares the hashes, all 32 bytes of them: whoever measures the answer learns neither how many characters were right nor
-- how long the secret is.

create or replace function credits_private.secrets_match(
  p_given text,
  p_expected text
)
  returns boolean
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_given pg_catalog.bytea := sha256(convert_to(p_given, 'UTF8'));
  v_expected pg_catalog.bytea := sha256(convert_to(p_expected, 'UTF8'));
  v_difference integer := 0;
begin
  if p_given is null or p_expected is null then
    return false;
  end if;
  for v_i in 0 .. 31 loop
    v_difference := v_difference | (get_byte(v_given, v_i) # get_byte(v_expected, v_i));
  end loop;
  return v_difference = 0;
end;
$$;

comment on function credits_private.secrets_match(text, text) is
  'Whether two texts are equal, compared in constant time; false for null.';

revoke all on function credits_private.secrets_match(text, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/secrets_of.sql
-- secrets_of: the secrets of a name that are valid now, the rolled ones in their overlap included.

create or replace function credits_private.secrets_of(
  p_name text
)
  returns text[]
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  return array(
    select s.value
    from credits_private.secrets as s
    where s.name = p_name and (s.valid_until is null or s.valid_until > v_now)
    order by s.added_at
  );
end;
$$;

comment on function credits_private.secrets_of(text) is
  'The valid secrets of a name, none or several.';

revoke all on function credits_private.secrets_of(text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/is_signed.sql
-- is_signed: does this header prove that the body comes from who knows the secret?
--
-- Stripe and RevenueCat sign alike: t=<unix seconds>,v1=<hex>[,v1=...], where v1 is the HMAC of <t>.<body>. Other schemes
-- (v0) count for nothing. A timestamp too far off, either way, is refused, so a recorded call cannot be played again later.
-- Every valid secret is tried, so that one can be rolled while calls come in.

create or replace function credits_private.is_signed(
  p_name text,
  p_header text,
  p_body text
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_parts pg_catalog.text[] := array(select btrim(p.part) from unnest(string_to_array(p_header, ',')) as p (part) limit 20);
  v_time pg_catalog.text := (select substr(p.part, 3) from unnest(v_parts) as p (part) where starts_with(p.part, 't=') limit 1);
  v_tolerance bigint := (select s.value::bigint from credits_private.settings as s where s.name = 'webhook_tolerance');
  v_is_signed boolean := false;
  v_expected pg_catalog.text;
  v_secret pg_catalog.text;
  v_given pg_catalog.text;
begin
  if (v_time ~ '^[0-9]{1,12}$' and abs(extract(epoch from credits_private.now()) - v_time::bigint) <= v_tolerance) is not true then
    return false;
  end if;
  foreach v_secret in array credits_private.secrets_of(p_name) loop
    v_expected := encode(
      credits_private.hmac_sha256(convert_to(v_secret, 'UTF8'), convert_to(v_time || '.' || p_body, 'UTF8')), 'hex'
    );
    for v_given in select substr(p.part, 4) from unnest(v_parts) as p (part) where starts_with(p.part, 'v1=') loop
      v_is_signed := credits_private.secrets_match(v_given, v_expected) or v_is_signed;
    end loop;
  end loop;
  return v_is_signed;
end;
$$;

comment on function credits_private.is_signed(text, text, text) is
  'Whether a signature header (t=...,v1=...) fits the body, the clock and a valid secret of this name.';

revoke all on function credits_private.is_signed(text, text, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/is_from_revenuecat.sql
-- is_from_revenuecat: does RevenueCat vouch for this call, in every way that was set up?
--
-- Its signing secret proves the body and the time; its static Authorization value proves only that the caller knows it.
-- Where both are set both are asked for; where none is, nobody comes in.

create or replace function credits_private.is_from_revenuecat(
  p_headers jsonb,
  p_body text
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_header pg_catalog.text := (select s.value from credits_private.settings as s where s.name = 'revenuecat_signature_header');
  v_signing pg_catalog.text[] := credits_private.secrets_of('revenuecat');
  v_static pg_catalog.text[] := credits_private.secrets_of('revenuecat_authorization');
  v_is_known boolean := v_static = '{}';
  v_secret pg_catalog.text;
begin
  if v_signing = '{}' and v_static = '{}' then
    return false;
  end if;
  foreach v_secret in array v_static loop
    v_is_known := credits_private.secrets_match(p_headers ->> 'authorization', v_secret) or v_is_known;
  end loop;
  return v_is_known and (v_signing = '{}' or credits_private.is_signed('revenuecat', p_headers ->> v_header, p_body));
end;
$$;

comment on function credits_private.is_from_revenuecat(jsonb, text) is
  'Whether a call carries every proof of RevenueCat that was set up; false where none was.';

revoke all on function credits_private.is_from_revenuecat(jsonb, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refuse_signature.sql
-- refuse_signature: the one answer to every call that does not prove where it comes from.

create or replace function credits_private.refuse_signature()
  returns void
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  raise exception using
    errcode = 'PT401',
    message = 'invalid_signature',
    detail = json_build_object(),
    hint = 'The signature is missing, wrong or too old, or no secret is set: credits-db secret set.';
end;
$$;

comment on function credits_private.refuse_signature() is
  'Raises PT401 invalid_signature.';

revoke all on function credits_private.refuse_signature() from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/check_body.sql
-- check_body: is there a body, and is it of a size that an event has? Asked before any work is done on it.

create or replace function credits_private.check_body(
  p_body json
)
  returns void
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  if p_body is null then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'body', 'value', null),
      hint = 'The body is what the provider sent, as JSON.';
  end if;
  if octet_length(p_body::pg_catalog.text) > 1048576 then
    raise exception using
      errcode = 'PT413',
      message = 'payload_too_large',
      detail = json_build_object('bytes', octet_length(p_body::pg_catalog.text)),
      hint = 'An event has at most 1 MiB.';
  end if;
end;
$$;

comment on function credits_private.check_body(json) is
  'Raises PT413 payload_too_large over 1 MiB, and 22023 invalid_argument for null.';

revoke all on function credits_private.check_body(json) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/set_secret.sql
-- set_secret: keeps a secret of a provider, and lets the one before it live on for a while.
--
-- For the owner (credits-db secret set). Setting the present one again changes nothing. With p_overlap 0 the old ones end
-- at once, which is what a leaked secret calls for.

create or replace function credits_private.set_secret(
  p_name text,
  p_value text,
  p_overlap interval
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  if (p_name in ('stripe', 'revenuecat', 'revenuecat_authorization')) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'name', 'value', p_name),
      hint = 'A secret is stripe, revenuecat (its signing secret) or revenuecat_authorization (its static header).';
  end if;
  if (length(p_value) between 16 and 1000 and p_value = btrim(p_value, E' \t\r\n')) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'value', 'length', length(p_value)),
      hint = 'A secret has 16 to 1000 characters and no space around it.';
  end if;
  if (p_overlap >= interval '0') is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'overlap', 'value', p_overlap),
      hint = 'The overlap is how long older secrets stay valid: 0 or more.';
  end if;
  delete from credits_private.secrets as s where s.name = p_name and s.valid_until <= v_now;
  update credits_private.secrets as s
  set valid_until = least(s.valid_until, v_now + p_overlap)
  where s.name = p_name and s.value <> p_value;
  insert into credits_private.secrets (name, value, added_at)
  values (p_name, p_value, v_now)
  on conflict (name, value) do update set valid_until = null;
end;
$$;

comment on function credits_private.set_secret(text, text, interval) is
  'Keeps a secret; older ones of the name are valid for the overlap yet. Raises 22023 invalid_argument.';

revoke all on function credits_private.set_secret(text, text, interval) from public, anon, authenticated, service_role;
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

-- from sql/credits/fields/id.sql
-- id: a computed field of credit_transactions, one word that names a ledger row.
--
-- select=id,amount through PostgREST. Users see it in support mails; it is <user_id>/<seq>.

create or replace function public.id(entry public.credit_transactions)
  returns text
  language sql
  stable
  set search_path = ''
as $$
  select entry.user_id::pg_catalog.text || '/' || entry.seq::pg_catalog.text;
$$;

comment on function public.id(public.credit_transactions) is
  'Computed field: the name of a ledger row, <user_id>/<seq>.';

revoke all on function public.id(public.credit_transactions) from public, anon, authenticated, service_role;
grant execute on function public.id(public.credit_transactions) to authenticated, service_role;
-- end

-- from sql/credits/rpc/consume_credit.sql
-- consume_credit: the signed-in user pays for one unit of work.
--
-- Called from apps with the user's own token. Takes nobody else's credits: the user comes from the token,
-- never from an argument. Returns the ledger row; a replay with the same idempotency key returns the same
-- row and takes nothing. Apps in which only the server may name a price switch this off
-- (credits-db settings set user_spending off) and use consume_credit_for.

create or replace function credits_private.consume_credit(
  p_amount bigint,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text
)
  returns public.credit_transactions
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.spend(credits_private.current_user_id(), p_amount, p_description, p_metadata, p_idempotency_key);
end;
$$;

comment on function credits_private.consume_credit(bigint, text, jsonb, text) is
  'The body of public.consume_credit: the same for the user of the token, with definer rights.';

revoke all on function credits_private.consume_credit(bigint, text, jsonb, text) from public, anon, authenticated, service_role;

create or replace function public.consume_credit(
  amount bigint default 1,
  description text default null,
  metadata jsonb default '{}',
  idempotency_key text default null
)
  returns public.credit_transactions
  language plpgsql
  volatile
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.consume_credit(amount, description, metadata, idempotency_key);
end;
$$;

comment on function public.consume_credit(bigint, text, jsonb, text) is
  'Take credits from the balance of the signed-in user. amount: credits, 1 to 10^12. Returns the ledger row; the same idempotency_key returns the same row again. Raises PT401 not_authenticated, PT402 insufficient_credits, PT404 account_not_found, PT410 account_closed, PT422 idempotency_key_reused, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

revoke all on function public.consume_credit(bigint, text, jsonb, text) from public, anon, authenticated, service_role;

-- authenticated may execute both while user_spending is on: the setting grants, so that it outlives this file
select credits_private.set_setting(s.name, s.value)
from credits_private.settings as s
where s.name = 'user_spending';
-- end

-- from sql/credits/rpc/consume_credit_for.sql
-- consume_credit_for: a service charges a user, or your own function does.
--
-- Call it inside the transaction of the work that is paid for: both happen or neither. The same engine,
-- rules and replay as consume_credit; only service_role and the owner's own functions may call it.

create or replace function public.consume_credit_for(
  user_id uuid,
  amount bigint default 1,
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
  return credits_private.spend(user_id, amount, description, metadata, idempotency_key);
end;
$$;

comment on function public.consume_credit_for(uuid, bigint, text, jsonb, text) is
  'Take credits from the balance of a user. amount: credits, 1 to 10^12. Returns the ledger row; the same idempotency_key returns the same row again. Raises PT401 not_authenticated for a null user_id, PT402 insufficient_credits, PT404 account_not_found, PT410 account_closed, PT422 idempotency_key_reused, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

revoke all on function public.consume_credit_for(uuid, bigint, text, jsonb, text) from public, anon, authenticated, service_role;
grant execute on function public.consume_credit_for(uuid, bigint, text, jsonb, text) to service_role;
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
  'Add credits to the balance of a user. amount: credits, 1 to 10^12; type: purchase, bonus, signup_bonus, monthly_bonus or admin_adjustment; expires_at: when they expire, null for never. Returns the ledger row; the same idempotency_key returns the same row again. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found, PT410 account_closed, PT422 idempotency_key_reused, expiry_not_allowed or balance_limit, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

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
  'Give back the consumption with this seq. amount: credits, or null for all that is left of it. Returns the ledger row; the same idempotency_key returns the same row again. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found or transaction_not_found, PT409 refund_exceeds_consumption, PT410 account_closed, PT422 idempotency_key_reused or balance_limit, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

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
  'Set credits aside. amount: credits, 1 to 10^12; expires_in: 1 second to 30 days. Returns the hold; the same idempotency_key returns the same hold again. Raises PT401 not_authenticated for a null user_id, PT402 insufficient_credits, PT404 account_not_found, PT410 account_closed, PT422 idempotency_key_reused, PT429 too_many_holds, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

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
  'Spend a hold. amount: credits, at most what is held, or null for all of it. Returns the ledger row; the same call returns the same row again. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found or hold_not_found, PT409 hold_not_active, PT410 account_closed, PT422 idempotency_key_reused, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

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
  'Give a hold back. Returns the hold. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found or hold_not_found, PT409 hold_not_active where it was captured, PT410 account_closed.';

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
  'Give amount credits every period (day, week or month, in UTC) to one user or to all who hold an entitlement. Returns the grant. Raises PT404 account_not_found, PT410 account_closed, 22023 invalid_amount or invalid_argument.';

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
  'Stop a recurring grant of a user, or of an entitlement where user_id is null. Returns the grant. Raises PT404 grant_not_found or account_not_found, PT410 account_closed.';

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
  'Queue a low_balance item when a spend takes the balance of a user below alert_below, in credits; null for none. Returns the balance row. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found, PT410 account_closed and 22023 invalid_argument.';

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

-- from sql/credits/rpc/get_user_credits.sql
-- get_user_credits: what the signed-in user has now.
--
-- Writes nothing, so it also answers a GET. One row always: for a user whose account is not open yet, the
-- one that opening it would give.

create or replace function credits_private.get_user_credits()
  returns public.user_credits
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_account(credits_private.current_user_id());
end;
$$;

comment on function credits_private.get_user_credits() is
  'The body of public.get_user_credits: the same for the user of the token, with definer rights.';

revoke all on function credits_private.get_user_credits() from public, anon, authenticated, service_role;
grant execute on function credits_private.get_user_credits() to authenticated;

create or replace function public.get_user_credits()
  returns public.user_credits
  language plpgsql
  stable
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.get_user_credits();
end;
$$;

comment on function public.get_user_credits() is
  'The balance of the signed-in user, in credits; writes nothing. Raises PT401 not_authenticated, PT404 account_not_found and PT410 account_closed.';

revoke all on function public.get_user_credits() from public, anon, authenticated, service_role;
grant execute on function public.get_user_credits() to authenticated;
-- end

-- from sql/credits/rpc/get_user_credits_for.sql
-- get_user_credits_for: what a user has now, asked by a service. Writes nothing.

create or replace function public.get_user_credits_for(
  user_id uuid
)
  returns public.user_credits
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_account(user_id);
end;
$$;

comment on function public.get_user_credits_for(uuid) is
  'The balance of a user, in credits; writes nothing. Raises PT404 account_not_found and PT410 account_closed.';

revoke all on function public.get_user_credits_for(uuid) from public, anon, authenticated, service_role;
grant execute on function public.get_user_credits_for(uuid) to service_role;
-- end

-- from sql/credits/rpc/get_transaction_history.sql
-- get_transaction_history: the signed-in user's ledger, newest first, in pages.
--
-- The next page begins before the last seq of this one. Pages neither overlap nor skip, whatever is posted
-- between two calls.

create or replace function credits_private.get_transaction_history(
  p_page_size integer,
  p_before_seq bigint,
  p_type public.credit_transaction_type
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  security definer
  rows 50
  set search_path = ''
as $$
begin
  return query select * from credits_private.read_history(credits_private.current_user_id(), p_page_size, p_before_seq, p_type);
end;
$$;

comment on function credits_private.get_transaction_history(integer, bigint, public.credit_transaction_type) is
  'The body of public.get_transaction_history: the same for the user of the token, with definer rights.';

revoke all on function credits_private.get_transaction_history(integer, bigint, public.credit_transaction_type) from public, anon, authenticated, service_role;
grant execute on function credits_private.get_transaction_history(integer, bigint, public.credit_transaction_type) to authenticated;

create or replace function public.get_transaction_history(
  page_size integer default 50,
  before_seq bigint default null,
  type public.credit_transaction_type default null
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  security invoker
  rows 50
  set search_path = ''
as $$
begin
  return query select * from credits_private.get_transaction_history(page_size, before_seq, type);
end;
$$;

comment on function public.get_transaction_history(integer, bigint, public.credit_transaction_type) is
  'Ledger rows of the signed-in user, newest first: page_size (1 to 500) rows below before_seq, of one type if given. Raises PT401 not_authenticated and 22023 invalid_argument.';

revoke all on function public.get_transaction_history(integer, bigint, public.credit_transaction_type) from public, anon, authenticated, service_role;
grant execute on function public.get_transaction_history(integer, bigint, public.credit_transaction_type) to authenticated;
-- end

-- from sql/credits/rpc/get_transaction_history_for.sql
-- get_transaction_history_for: a user's ledger, newest first, in pages, asked by a service.

create or replace function public.get_transaction_history_for(
  user_id uuid,
  page_size integer default 50,
  before_seq bigint default null,
  type public.credit_transaction_type default null
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  security definer
  rows 50
  set search_path = ''
as $$
begin
  return query select * from credits_private.read_history(user_id, page_size, before_seq, type);
end;
$$;

comment on function public.get_transaction_history_for(uuid, integer, bigint, public.credit_transaction_type) is
  'Ledger rows of a user, newest first: page_size (1 to 500) rows below before_seq, of one type if given. Raises 22023 invalid_argument.';

revoke all on function public.get_transaction_history_for(uuid, integer, bigint, public.credit_transaction_type) from public, anon, authenticated, service_role;
grant execute on function public.get_transaction_history_for(uuid, integer, bigint, public.credit_transaction_type) to service_role;
-- end

-- from sql/credits/rpc/get_operation.sql
-- get_operation: what became of a call whose answer was lost.
--
-- A row is final. No row is not: the first call may still be on its way. Sending it again with the same
-- key settles it either way.

create or replace function credits_private.get_operation(
  p_idempotency_key text
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  security definer
  rows 1
  set search_path = ''
as $$
begin
  return query select * from credits_private.read_operation(credits_private.current_user_id(), p_idempotency_key);
end;
$$;

comment on function credits_private.get_operation(text) is
  'The body of public.get_operation: the same for the user of the token, with definer rights.';

revoke all on function credits_private.get_operation(text) from public, anon, authenticated, service_role;
grant execute on function credits_private.get_operation(text) to authenticated;

create or replace function public.get_operation(
  idempotency_key text
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  security invoker
  rows 1
  set search_path = ''
as $$
begin
  return query select * from credits_private.get_operation(idempotency_key);
end;
$$;

comment on function public.get_operation(text) is
  'The ledger row that this idempotency key wrote for the signed-in user, or no row. Raises PT401 not_authenticated.';

revoke all on function public.get_operation(text) from public, anon, authenticated, service_role;
grant execute on function public.get_operation(text) to authenticated;
-- end

-- from sql/credits/rpc/get_operation_for.sql
-- get_operation_for: what became of a service's call for a user whose answer was lost. See get_operation.

create or replace function public.get_operation_for(
  user_id uuid,
  idempotency_key text
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  security definer
  rows 1
  set search_path = ''
as $$
begin
  return query select * from credits_private.read_operation(user_id, idempotency_key);
end;
$$;

comment on function public.get_operation_for(uuid, text) is
  'The ledger row that this idempotency key wrote for a user, or no row.';

revoke all on function public.get_operation_for(uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.get_operation_for(uuid, text) to service_role;
-- end

-- from sql/credits/rpc/get_usage.sql
-- get_usage: what the signed-in user spent in a window of time, for quotas and for showing it.

create or replace function credits_private.get_usage(
  p_since timestamptz,
  p_until timestamptz
)
  returns public.credit_usage
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_usage(credits_private.current_user_id(), p_since, p_until);
end;
$$;

comment on function credits_private.get_usage(timestamptz, timestamptz) is
  'The body of public.get_usage: the same for the user of the token, with definer rights.';

revoke all on function credits_private.get_usage(timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function credits_private.get_usage(timestamptz, timestamptz) to authenticated;

create or replace function public.get_usage(
  since timestamptz,
  until timestamptz default null
)
  returns public.credit_usage
  language plpgsql
  stable
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.get_usage(since, until);
end;
$$;

comment on function public.get_usage(timestamptz, timestamptz) is
  'Credits that the signed-in user consumed from since (included) until until (not included; null is now). Raises PT401 not_authenticated and 22023 invalid_argument.';

revoke all on function public.get_usage(timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.get_usage(timestamptz, timestamptz) to authenticated;
-- end

-- from sql/credits/rpc/get_usage_for.sql
-- get_usage_for: what a user spent in a window of time, asked by a service.

create or replace function public.get_usage_for(
  user_id uuid,
  since timestamptz,
  until timestamptz default null
)
  returns public.credit_usage
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_usage(user_id, since, until);
end;
$$;

comment on function public.get_usage_for(uuid, timestamptz, timestamptz) is
  'Credits that a user consumed from since (included) until until (not included; null is now). Raises 22023 invalid_argument.';

revoke all on function public.get_usage_for(uuid, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.get_usage_for(uuid, timestamptz, timestamptz) to service_role;
-- end

-- from sql/credits/rpc/get_balance_at_for.sql
-- get_balance_at_for: what a user's balance was at a past instant, from the ledger.

create or replace function public.get_balance_at_for(
  user_id uuid,
  at timestamptz
)
  returns bigint
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_balance_at(user_id, at);
end;
$$;

comment on function public.get_balance_at_for(uuid, timestamptz) is
  'The balance of a user at an instant, in credits; 0 before the first ledger row. Raises 22023 invalid_argument.';

revoke all on function public.get_balance_at_for(uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.get_balance_at_for(uuid, timestamptz) to service_role;
-- end

-- from sql/credits/rpc/explain_balance_for.sql
-- explain_balance_for: where a user's balance comes from, for support.

create or replace function public.explain_balance_for(
  user_id uuid
)
  returns jsonb
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.explain_balance(user_id);
end;
$$;

comment on function public.explain_balance_for(uuid) is
  'A JSON object about the balance of a user: the figures, totals by type, the newest ledger rows, whether the books add up. Raises PT404 account_not_found and PT410 account_closed.';

revoke all on function public.explain_balance_for(uuid) from public, anon, authenticated, service_role;
grant execute on function public.explain_balance_for(uuid) to service_role;
-- end

-- from sql/credits/rpc/verify_ledger.sql
-- verify_ledger: proves that every balance is what its ledger says.
--
-- For one user, or for all when user_id is null. No rows is the good answer. Run it from a monitor, after
-- a restore, and in tests.

create or replace function public.verify_ledger(
  user_id uuid default null
)
  returns setof public.ledger_violation
  language plpgsql
  stable
  security definer
  rows 10
  set search_path = ''
as $$
begin
  return query select * from credits_private.verify_ledger(user_id);
end;
$$;

comment on function public.verify_ledger(uuid) is
  'Every place where the books of a user, or of all users when null, do not add up. No rows is the good answer.';

revoke all on function public.verify_ledger(uuid) from public, anon, authenticated, service_role;
grant execute on function public.verify_ledger(uuid) to service_role;
-- end

-- from sql/credits/rpc/delete_user_account.sql
-- delete_user_account: the signed-in user leaves, with everything that names them.
--
-- One transaction removes balance, ledger and the auth user. Nobody else's account can be named: the user
-- comes from the token.

create or replace function credits_private.delete_user_account()
  returns public.account_deletion
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.erase_account(credits_private.current_user_id());
end;
$$;

comment on function credits_private.delete_user_account() is
  'The body of public.delete_user_account: the same for the user of the token, with definer rights.';

revoke all on function credits_private.delete_user_account() from public, anon, authenticated, service_role;
grant execute on function credits_private.delete_user_account() to authenticated;

create or replace function public.delete_user_account()
  returns public.account_deletion
  language plpgsql
  volatile
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.delete_user_account();
end;
$$;

comment on function public.delete_user_account() is
  'Delete the signed-in user: balance, ledger and auth user, in one transaction. Returns the receipt, zeros when there was nothing left. Raises PT401 not_authenticated.';

revoke all on function public.delete_user_account() from public, anon, authenticated, service_role;
grant execute on function public.delete_user_account() to authenticated;
-- end

-- from sql/credits/rpc/delete_user_account_for.sql
-- delete_user_account_for: a service removes a user with everything that names them, in one transaction.

create or replace function public.delete_user_account_for(
  user_id uuid
)
  returns public.account_deletion
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.erase_account(user_id);
end;
$$;

comment on function public.delete_user_account_for(uuid) is
  'Delete a user: balance, ledger and auth user, in one transaction. Returns the receipt, zeros when there was nothing left. Raises PT401 not_authenticated for a null user_id.';

revoke all on function public.delete_user_account_for(uuid) from public, anon, authenticated, service_role;
grant execute on function public.delete_user_account_for(uuid) to service_role;
-- end

-- from sql/credits/rpc/export_user_data_for.sql
-- export_user_data_for: everything that is held about a user, as the law lets them ask.
--
-- The same list of tables as a deletion's (personal_data). Called by a service that knows who is asking.

create or replace function public.export_user_data_for(
  user_id uuid
)
  returns jsonb
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.export_user_data(user_id);
end;
$$;

comment on function public.export_user_data_for(uuid) is
  'Everything that is held about a user: {"user_id", "exported_at", "tables": {"public.user_credits": [rows], ...}}, the row of auth.users without its secrets. Raises PT401 not_authenticated for a null user_id and PT404 account_not_found.';

revoke all on function public.export_user_data_for(uuid) from public, anon, authenticated, service_role;
grant execute on function public.export_user_data_for(uuid) to service_role;
-- end

-- from sql/credits/rpc/record_purchase_for.sql
-- record_purchase_for: a service vouches for a purchase, for instance after it has verified a receipt.
--
-- The same transaction credits once for the whole database: again, for the same user, it returns the row as it is; for
-- another user it is refused. Webhooks that tell of the same transaction find it done.

create or replace function public.record_purchase_for(
  user_id uuid,
  store text,
  transaction_id text,
  product_id text,
  price_cents bigint default null,
  currency text default null,
  environment text default 'PRODUCTION',
  payload jsonb default '{}',
  quantity integer default 1
)
  returns public.purchase_transactions
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.record_purchase(
    user_id, store, transaction_id, product_id, price_cents, currency, environment, payload, quantity
  );
end;
$$;

comment on function public.record_purchase_for(
  uuid, text, text, text, bigint, text, text, jsonb, integer
) is
  'Record a purchase of a user and credit what its product is worth, once for the whole database. store: app_store, play_store, stripe or a word of your own; price_cents: what was paid, checked against the product where both say; environment: PRODUCTION or SANDBOX. Returns the purchase. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found, PT409 purchase_conflict, PT410 account_closed, PT422 unknown_product or balance_limit, 22023 invalid_argument or invalid_amount.';

revoke all on function public.record_purchase_for(
  uuid, text, text, text, bigint, text, text, jsonb, integer
) from public, anon, authenticated, service_role;
grant execute on function public.record_purchase_for(
  uuid, text, text, text, bigint, text, text, jsonb, integer
) to service_role;
-- end

-- from sql/credits/rpc/refund_purchase.sql
-- refund_purchase: a service says that money of a purchase went back, all of it or some credits' worth.
--
-- For stores that send no events. What was spent already becomes a debt, which the next grant pays first.

create or replace function public.refund_purchase(
  store text,
  transaction_id text,
  refund_id text,
  credits bigint default null,
  environment text default 'PRODUCTION'
)
  returns public.purchase_transactions
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.refund_purchase(store, transaction_id, refund_id, credits, environment);
end;
$$;

comment on function public.refund_purchase(text, text, text, bigint, text) is
  'Take back the credits of a purchase: credits, or all of it for null, never more than it was worth. refund_id: the refund''s own name; again it changes nothing. Returns the purchase. Raises PT404 transaction_not_found, PT410 account_closed, PT422 idempotency_key_reused, 22023 invalid_argument or invalid_amount.';

revoke all on function public.refund_purchase(text, text, text, bigint, text) from public, anon, authenticated, service_role;
grant execute on function public.refund_purchase(text, text, text, bigint, text) to service_role;
-- end

-- from sql/credits/rpc/grant_entitlement_for.sql
-- grant_entitlement_for: a service lets a user use something, until an instant or for ever.
--
-- Beside what purchases give: the longer of the two counts. An instant that has passed ends the grant.

create or replace function public.grant_entitlement_for(
  user_id uuid,
  entitlement text,
  active_until timestamptz default null
)
  returns public.user_entitlements
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.grant_entitlement(user_id, entitlement, active_until, 'manual');
end;
$$;

comment on function public.grant_entitlement_for(uuid, text, timestamptz) is
  'Grant an entitlement to a user until an instant, or for ever when null. Returns its row. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found, PT410 account_closed, 22023 invalid_argument.';

revoke all on function public.grant_entitlement_for(uuid, text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.grant_entitlement_for(uuid, text, timestamptz) to service_role;
-- end

-- from sql/credits/rpc/has_entitlement.sql
-- has_entitlement: may the signed-in user use something now?

create or replace function credits_private.has_entitlement(
  p_entitlement text
)
  returns boolean
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_entitlement(credits_private.current_user_id(), p_entitlement);
end;
$$;

comment on function credits_private.has_entitlement(text) is
  'The body of public.has_entitlement: the same for the user of the token, with definer rights.';

revoke all on function credits_private.has_entitlement(text) from public, anon, authenticated, service_role;
grant execute on function credits_private.has_entitlement(text) to authenticated;

create or replace function public.has_entitlement(
  entitlement text
)
  returns boolean
  language plpgsql
  stable
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.has_entitlement(entitlement);
end;
$$;

comment on function public.has_entitlement(text) is
  'Whether an entitlement of the signed-in user is active now. Raises PT401 not_authenticated.';

revoke all on function public.has_entitlement(text) from public, anon, authenticated, service_role;
grant execute on function public.has_entitlement(text) to authenticated;
-- end

-- from sql/credits/rpc/has_entitlement_for.sql
-- has_entitlement_for: may a user use something now, asked by a service.

create or replace function public.has_entitlement_for(
  user_id uuid,
  entitlement text
)
  returns boolean
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_entitlement(user_id, entitlement);
end;
$$;

comment on function public.has_entitlement_for(uuid, text) is
  'Whether an entitlement of a user is active now.';

revoke all on function public.has_entitlement_for(uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.has_entitlement_for(uuid, text) to service_role;
-- end

-- from sql/credits/rpc/process_revenuecat_event.sql
-- process_revenuecat_event: takes an event of RevenueCat from a server that has verified its signature.
--
-- Stored whatever it says and whatever comes of it; what it says is done in the same call. Send the same event as often as
-- you like. With deferred it is only stored, so a server can commit the body before it runs the effect.

create or replace function public.process_revenuecat_event(
  body json,
  deferred boolean default false
)
  returns public.store_event
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  perform credits_private.check_body(body);
  return credits_private.take_store_event('revenuecat', body, deferred);
end;
$$;

comment on function public.process_revenuecat_event(json, boolean) is
  'Take an event of RevenueCat: store it, do what it says, and return what became of it. Verify its signature first. Raises PT413 payload_too_large and 22023 invalid_argument for null.';

revoke all on function public.process_revenuecat_event(json, boolean) from public, anon, authenticated, service_role;
grant execute on function public.process_revenuecat_event(json, boolean) to service_role;
-- end

-- from sql/credits/rpc/process_stripe_event.sql
-- process_stripe_event: takes an event of Stripe from a server that has verified its signature.
--
-- Stored whatever it says and whatever comes of it; what it says is done in the same call. Send the same event as often as
-- you like. With deferred it is only stored, so a server can commit the body before it runs the effect.

create or replace function public.process_stripe_event(
  body json,
  deferred boolean default false
)
  returns public.store_event
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  perform credits_private.check_body(body);
  return credits_private.take_store_event('stripe', body, deferred);
end;
$$;

comment on function public.process_stripe_event(json, boolean) is
  'Take an event of Stripe: store it, do what it says, and return what became of it. Verify its signature first. Raises PT413 payload_too_large and 22023 invalid_argument for null.';

revoke all on function public.process_stripe_event(json, boolean) from public, anon, authenticated, service_role;
grant execute on function public.process_stripe_event(json, boolean) to service_role;
-- end

-- from sql/credits/rpc/reprocess_store_event.sql
-- reprocess_store_event: tries a stored event again, after what stood in its way was mended.
--
-- For instance once the product that it names is in credit_products. Safe for any event: what is done already stays as it is, and a transfer is not made twice.

create or replace function public.reprocess_store_event(
  provider text,
  event_id text
)
  returns public.store_event
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.run_store_event(provider, event_id);
end;
$$;

comment on function public.reprocess_store_event(text, text) is
  'Try a stored event again and return what became of it. provider: revenuecat or stripe. Raises PT404 event_not_found.';

revoke all on function public.reprocess_store_event(text, text) from public, anon, authenticated, service_role;
grant execute on function public.reprocess_store_event(text, text) to service_role;
-- end

-- from sql/credits/rpc/revenuecat_webhook.sql
-- revenuecat_webhook: the address that RevenueCat calls, with no server in between.
--
-- PostgREST hands over the body as it came, because the only argument is json and has no name, and the headers as a setting.
-- Anybody may call; the signature decides. What is authentic is stored and answered with 200 whatever comes of it, so that
-- RevenueCat does not give up on what only needs a product or a user here.

create or replace function credits_private.revenuecat_webhook(
  p_body json
)
  returns jsonb
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_headers pg_catalog.jsonb := coalesce(nullif(current_setting('request.headers', true), ''), '{}')::pg_catalog.jsonb;
  v_event public.store_event;
begin
  perform credits_private.check_body(p_body);
  if not credits_private.is_from_revenuecat(v_headers, p_body::pg_catalog.text) then
    perform credits_private.refuse_signature();
  end if;
  v_event := credits_private.take_store_event('revenuecat', p_body, false);
  return jsonb_build_object('event_id', v_event.event_id, 'state', v_event.state, 'reason', v_event.reason);
end;
$$;

comment on function credits_private.revenuecat_webhook(json) is
  'The body of public.revenuecat_webhook, with definer rights.';

revoke all on function credits_private.revenuecat_webhook(json) from public, anon, authenticated, service_role;
grant execute on function credits_private.revenuecat_webhook(json) to anon;

create or replace function public.revenuecat_webhook(
  json
)
  returns jsonb
  language plpgsql
  volatile
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.revenuecat_webhook($1);
end;
$$;

comment on function public.revenuecat_webhook(json) is
  'Take a webhook of RevenueCat, authentic by its signature alone: POST the body as it is. Answers {"event_id", "state", "reason"} with 200 whatever became of it. Raises PT401 invalid_signature and PT413 payload_too_large.';

revoke all on function public.revenuecat_webhook(json) from public, anon, authenticated, service_role;
grant execute on function public.revenuecat_webhook(json) to anon;
-- end

-- from sql/credits/rpc/stripe_webhook.sql
-- stripe_webhook: the address that Stripe calls, with no server in between.
--
-- PostgREST hands over the body as it came, because the only argument is json and has no name, and the headers as a setting.
-- Anybody may call; the signature decides. What is authentic is stored and answered with 200 whatever comes of it, so that
-- Stripe does not give up on what only needs a product or a user here.

create or replace function credits_private.stripe_webhook(
  p_body json
)
  returns jsonb
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_headers pg_catalog.jsonb := coalesce(nullif(current_setting('request.headers', true), ''), '{}')::pg_catalog.jsonb;
  v_event public.store_event;
begin
  perform credits_private.check_body(p_body);
  if not credits_private.is_signed('stripe', v_headers ->> 'stripe-signature', p_body::pg_catalog.text) then
    perform credits_private.refuse_signature();
  end if;
  v_event := credits_private.take_store_event('stripe', p_body, false);
  return jsonb_build_object('event_id', v_event.event_id, 'state', v_event.state, 'reason', v_event.reason);
end;
$$;

comment on function credits_private.stripe_webhook(json) is
  'The body of public.stripe_webhook, with definer rights.';

revoke all on function credits_private.stripe_webhook(json) from public, anon, authenticated, service_role;
grant execute on function credits_private.stripe_webhook(json) to anon;

create or replace function public.stripe_webhook(
  json
)
  returns jsonb
  language plpgsql
  volatile
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.stripe_webhook($1);
end;
$$;

comment on function public.stripe_webhook(json) is
  'Take a webhook of Stripe, authentic by its signature alone: POST the body as it is. Answers {"event_id", "state", "reason"} with 200 whatever became of it. Raises PT401 invalid_signature and PT413 payload_too_large.';

revoke all on function public.stripe_webhook(json) from public, anon, authenticated, service_role;
grant execute on function public.stripe_webhook(json) to anon;
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
-- Called by a migration and by every push, so that it also happens when pg_cron comes later. A job of this name
-- that is there already stays as it is: an operator may have changed it. Where there is no pg_cron it does nothing;
-- nothing depends on it. Call it in a transaction that does little else, or pg_cron may not hear of the job.

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
  -- Its launcher looks once a second, and when the news of 4096 changes to the catalogue are waiting for it, as after
  -- the migrations, it takes none of them: github.com/citusdata/pg_cron/pull/406.
  perform pg_sleep(2);
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

-- from sql/credits/triggers/keep_ledger.sql
-- keep_ledger: the ledger is append-only, for everybody.
--
-- No update, no truncate, and no delete while the account of the row exists; the owner is no exception.
-- The triggers are ENABLE ALWAYS, so that session_replication_role does not switch them off.

create or replace function credits_private.keep_ledger()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  if tg_op = 'DELETE' then
    if not exists (select from public.user_credits as a where a.user_id = old.user_id) then
      return old;
    end if;
  end if;
  raise exception using
    errcode = 'PT403',
    message = 'ledger_immutable',
    detail = json_build_object('operation', lower(tg_op)),
    hint = 'The ledger is append-only: correct it by adding a row, for instance an admin_adjustment.';
end;
$$;

comment on function credits_private.keep_ledger() is
  'Trigger on credit_transactions: lets a row go only after its account. Raises PT403 ledger_immutable.';

revoke all on function credits_private.keep_ledger() from public, anon, authenticated, service_role;

create or replace trigger keep_ledger
  before update or delete on public.credit_transactions
  for each row
  execute function credits_private.keep_ledger();

create or replace trigger keep_ledger_whole
  before truncate on public.credit_transactions
  for each statement
  execute function credits_private.keep_ledger();

alter table public.credit_transactions enable always trigger keep_ledger;
alter table public.credit_transactions enable always trigger keep_ledger_whole;

comment on trigger keep_ledger on public.credit_transactions is
  'No update ever, no delete while the account exists.';
comment on trigger keep_ledger_whole on public.credit_transactions is
  'No truncate.';
-- end

-- from sql/credits/triggers/keep_accounts.sql
-- keep_accounts: an account goes when its user is gone, and its ledger goes with it.
--
-- The other half of keep_ledger: without it, whoever may delete a balance row could delete a history. A user who was
-- deleted softly (deleted_at) is gone; the row in auth.users is GoTrue's. A change of user is refused by statement, because a row trigger before an update, of whichever column, makes Postgres
-- lock each row that any update touches, with a record in the WAL.

create or replace function credits_private.keep_accounts()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  if tg_op = 'DELETE' then
    if not exists (select from auth.users as u where u.id = old.user_id and u.deleted_at is null) then
      return old;
    end if;
  end if;
  raise exception using
    errcode = 'PT403',
    message = 'ledger_immutable',
    detail = json_build_object('operation', lower(tg_op)),
    hint = 'An account goes with its user: call delete_user_account, or delete the row in auth.users.';
end;
$$;

comment on function credits_private.keep_accounts() is
  'Trigger on user_credits: lets a row go only after its user. Raises PT403 ledger_immutable.';

revoke all on function credits_private.keep_accounts() from public, anon, authenticated, service_role;

create or replace trigger keep_accounts
  before delete on public.user_credits
  for each row
  execute function credits_private.keep_accounts();

create or replace trigger keep_accounts_whole
  before truncate or update of user_id on public.user_credits
  for each statement
  execute function credits_private.keep_accounts();

alter table public.user_credits enable always trigger keep_accounts;
alter table public.user_credits enable always trigger keep_accounts_whole;

comment on trigger keep_accounts on public.user_credits is
  'No delete while the user exists.';
comment on trigger keep_accounts_whole on public.user_credits is
  'No truncate, and no change of user ever.';
-- end

-- from sql/credits/triggers/close_account.sql
-- close_account: an account goes whole, and leaves totals that name nobody.
--
-- Fires when the balance goes, whatever made it go. Stands in for the foreign keys that every spend would have to pay
-- for. What remains has a random id: totals by month, the credits that were given up, and claims that stop the same
-- transactions from being credited again.

create or replace function credits_private.close_account()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
declare
  v_id pg_catalog.uuid;
begin
  insert into credits_private.closed_accounts (closed_at, credits_written_off)
  values ((credits_private.now() at time zone 'UTC')::pg_catalog.date, old.credits_remaining)
  returning id into v_id;
  perform credits_private.remove_ledger(old.user_id, v_id);
  perform credits_private.remove_lots(old.user_id);
  perform credits_private.remove_purchases(old.user_id, v_id);
  return null;
end;
$$;

comment on function credits_private.close_account() is
  'Trigger on user_credits: removes all of a deleted account but its totals and its closed claims.';

revoke all on function credits_private.close_account() from public, anon, authenticated, service_role;

create or replace trigger close_account
  after delete on public.user_credits
  for each row
  execute function credits_private.close_account();

alter table public.user_credits enable always trigger close_account;

comment on trigger close_account on public.user_credits is
  'All of an account goes with its balance; totals and claims stay without it.';
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

-- from sql/credits/triggers/notify_changes.sql
-- notify_changes: tells whoever LISTENs that some balance has changed, where an operator wants it.
--
-- One channel for all and nothing in it, since whoever may log in may LISTEN: something has changed, never whose
-- balance or how. However many a transaction changes, Postgres sends it once, at the commit. Who is told reads
-- last_seq, of which row level security shows what is theirs. Disabled as it comes, because commits that notify wait
-- for each other. Rows of a restore or a copy (session_replication_role = replica) notify nobody.

create or replace function credits_private.notify_changes()
  returns trigger
  language plpgsql
  set search_path = ''
as $$
begin
  perform pg_notify('credits_changed', '');
  return null;
end;
$$;

comment on function credits_private.notify_changes() is
  'Trigger on user_credits: notifies the channel credits_changed, with nothing in it.';

revoke all on function credits_private.notify_changes() from public, anon, authenticated, service_role;

create or replace trigger notify_changes
  after insert or update or delete on public.user_credits
  for each statement
  execute function credits_private.notify_changes();

comment on trigger notify_changes on public.user_credits is
  'Enabled while the setting notify_changes is on.';

-- a trigger made anew is enabled: the setting says whether it stays so, so that it outlives this file
select credits_private.set_setting(s.name, s.value)
from credits_private.settings as s
where s.name = 'notify_changes';
-- end

-- from sql/credits/realtime/publish_balances.sql
-- publish_balances: balances and ledger join the publication that Supabase Realtime reads, where there is one.
--
-- Once, in a migration: who takes them out again keeps them out. Realtime shows a changed row to those whom row level
-- security lets read it, but nothing guards an old row: of that the stream has the key and no more, since the replica
-- identity stays the primary key. Tables of before, moved to credits_before, leave: their names are ours now. A
-- publication that has ours anyway (for all tables, or for schema public) is left alone.

do $$
declare
  v_changes pg_catalog.text;
begin
  select string_agg(format('alter publication supabase_realtime %s table %I.%I;', c.verb, c.schema, c.name), ' ')
  into v_changes
  from pg_catalog.pg_publication as p
  cross join lateral (
    select 'drop' as verb, n.nspname as schema, t.relname as name
    from pg_catalog.pg_publication_rel as r
    join pg_catalog.pg_class as t on t.oid = r.prrelid
    join pg_catalog.pg_namespace as n on n.oid = t.relnamespace and n.nspname = 'credits_before'
    where r.prpubid = p.oid
    union all
    select 'add', 'public', w.name
    from unnest(array['user_credits', 'credit_transactions']) as w (name)
    where not exists (
      select
      from pg_catalog.pg_publication_tables as m
      where (m.pubname, m.schemaname, m.tablename) = (p.pubname, 'public', w.name)
    )
  ) as c
  where p.pubname = 'supabase_realtime';
  if v_changes is not null then
    execute v_changes;
  end if;
exception
  when insufficient_privilege then
    raise notice 'Realtime does not show balances: %. Whoever owns the publication may run: %', sqlerrm, v_changes;
end;
$$;
-- end

-- check: every table of the API has row level security
do $$
begin
  if exists (
    select
    from pg_catalog.pg_class as c
    where c.oid = any (array[
      'public.user_credits', 'public.credit_transactions', 'public.credit_products', 'public.purchase_transactions',
      'public.user_entitlements', 'public.credit_holds'
    ]::regclass[]) and not c.relrowsecurity
  ) then
    raise exception 'a table of credits has no row level security';
  end if;
end;
$$;
