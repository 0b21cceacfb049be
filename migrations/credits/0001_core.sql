-- The core: balances, the ledger, and the RPCs that move them.
--
-- Locks nothing that was there before: what joins it to auth.users comes next.

-- from sql/credits/schemas.sql
-- credits_private: the house behind the door.
--
-- Users and services meet credits-db in schema public: tables that they may read, RPCs that they may
-- call. Everything else (bodies, helpers, settings, the history of migrations) lives here, in a schema
-- that PostgREST must never expose. Usage lets the user doors in public reach their bodies; it opens
-- nothing by itself, since every object in here is granted by name or not at all.

create schema if not exists credits_private;

comment on schema credits_private is
  'Bodies, helpers and settings of credits-db. Not an API: never expose it through PostgREST.';

revoke all on schema credits_private from public, anon, authenticated, service_role;
grant usage on schema credits_private to authenticated;
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
  found bigint
);

comment on type public.ledger_violation is
  'One place where the books do not add up. No rows from verify_ledger means that they do.';
comment on column public.ledger_violation.user_id is
  'Whose books.';
comment on column public.ledger_violation.seq is
  'The ledger row that is wrong, or null when it is the balance row.';
comment on column public.ledger_violation.rule is
  'The rule that is broken: seq_has_gap, balance_breaks_chain, amount_breaks_type, balance_is_not_sum, used_is_not_consumption, last_seq_is_not_last, ledger_without_account.';
comment on column public.ledger_violation.expected is
  'The figure that the rule asks for.';
comment on column public.ledger_violation.found is
  'The figure that is stored.';

revoke all on type public.ledger_violation from public, anon, authenticated, service_role;
grant usage on type public.ledger_violation to service_role;
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

-- from sql/credits/tables/settings.sql
-- settings: what an operator may choose.
--
-- Rows, because a hosted database takes no custom parameters. Each row carries its own type and bounds,
-- so that a wrong value cannot be stored by any path. Changed by set_setting (credits-db settings set),
-- read when an account is opened, never while credits are spent.

create table credits_private.settings (
  name text primary key,
  value text not null,
  kind text not null,
  minimum bigint,
  maximum bigint,
  description text not null,
  constraint settings_value_fits_kind check (
    case kind
      when 'integer' then value ~ '^[0-9]{1,15}$' and value::bigint between minimum and maximum
      when 'switch' then value in ('on', 'off')
      else false
    end
  )
);

comment on table credits_private.settings is
  'What an operator may choose, one row a setting. Change it with credits-db settings set.';
comment on column credits_private.settings.name is
  'The word for it, the same in SQL, CLI and docs.';
comment on column credits_private.settings.value is
  'The present choice, as text: digits for an integer, on or off for a switch.';
comment on column credits_private.settings.kind is
  'integer or switch.';
comment on column credits_private.settings.minimum is
  'The smallest integer allowed.';
comment on column credits_private.settings.maximum is
  'The largest integer allowed.';
comment on column credits_private.settings.description is
  'What it does, in a sentence.';

revoke all on table credits_private.settings from public, anon, authenticated, service_role;

insert into credits_private.settings (name, value, kind, minimum, maximum, description)
values
  ('signup_bonus', '3', 'integer', 0, 1000000, 'Credits that a new account starts with; anonymous users get them when they convert.'),
  ('user_spending', 'on', 'switch', null, null, 'Whether users may call consume_credit themselves; off when only the server may name a price.')
on conflict (name) do nothing;
-- end

-- from sql/credits/private/set_setting.sql
-- set_setting: changes one setting and does at once what it means.
--
-- For the owner (credits-db settings set). user_spending is a privilege, not a flag that somebody would
-- have to look at: off takes EXECUTE on consume_credit from authenticated, on gives it. rpc/consume_credit.sql
-- ends by setting it to what it is, so a migration that replaces the function does not overrule the operator.

create or replace function credits_private.set_setting(
  p_name text,
  p_value text
)
  returns credits_private.settings
  language plpgsql
  volatile
  set search_path = ''
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
      else p_value in ('on', 'off')
    end
  ) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'value', 'value', p_value),
      hint = case v_setting.kind
        when 'integer' then format('%s is a whole number from %s to %s.', p_name, v_setting.minimum, v_setting.maximum)
        else format('%s is on or off.', p_name)
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
  end if;
  return v_setting;
end;
$$;

comment on function credits_private.set_setting(text, text) is
  'Changes a setting and returns it. Raises 22023 invalid_argument for an unknown name or a value out of bounds.';

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
  'The first instant at which something of this user falls due; null when nothing will.';
comment on column public.user_credits.alert_below is
  'The balance under which a low-balance notice is queued; null for none.';
comment on column public.user_credits.created_at is
  'When the account was opened.';
comment on column public.user_credits.updated_at is
  'When credits_remaining last moved: created_at of the ledger row last_seq, or of the account before the first.';

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
-- What every spend pays for stays small: no foreign key (remove_ledger takes the rows when the account
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

-- from sql/credits/private/signup_bonus_for.sql
-- signup_bonus_for: what a new account of this user starts with.
--
-- Asked when an account is opened, and by get_user_credits for a user whose account is not open yet, so
-- that both say the same. Looks at auth.users, hence PT404 for a user who does not exist.

create or replace function credits_private.signup_bonus_for(p_user_id uuid)
  returns bigint
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_bonus bigint;
begin
  select
    case
      when u.is_anonymous then 0
      else (select s.value::bigint from credits_private.settings as s where s.name = 'signup_bonus')
    end
  into v_bonus
  from auth.users as u
  where u.id = p_user_id;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'account_not_found',
      detail = '{}',
      hint = 'There is no such user.';
  end if;
  return v_bonus;
end;
$$;

comment on function credits_private.signup_bonus_for(uuid) is
  'Credits that a new account of this user starts with: the setting signup_bonus, 0 while anonymous. Raises PT404 account_not_found.';

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

-- from sql/credits/private/move_balance.sql
-- move_balance: adds a signed amount to a balance, within the limits of its type.
--
-- The caller holds the lock of lock_account and writes the ledger row from what this returns. A balance
-- goes below zero only through clawback and admin_adjustment, and never beyond 2^53, where JSON numbers
-- stop being exact.

create or replace function credits_private.move_balance(
  p_user_id uuid,
  p_type public.credit_transaction_type,
  p_amount bigint
)
  returns public.user_credits
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_usage bigint := case when p_type in ('consumption', 'refund') then p_amount else 0 end;
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  update public.user_credits as a
  set
    credits_remaining = a.credits_remaining + p_amount,
    total_credits = a.total_credits + p_amount - v_usage,
    used_credits = a.used_credits - v_usage,
    last_purchase_at = case when p_type = 'purchase' then v_now else a.last_purchase_at end,
    last_seq = a.last_seq + 1,
    updated_at = v_now
  where a.user_id = p_user_id
    and a.credits_remaining + p_amount between -9007199254740991 and 9007199254740991
    and (
      p_amount > 0
      or p_type in ('clawback', 'admin_adjustment')
      or a.credits_remaining - a.credits_held >= -p_amount
    )
  returning a.* into v_account;
  if found then
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

comment on function credits_private.move_balance(uuid, public.credit_transaction_type, bigint) is
  'Moves a locked balance and numbers the movement (last_seq, updated_at). Raises PT402 insufficient_credits and PT422 balance_limit.';

revoke all on function credits_private.move_balance(uuid, public.credit_transaction_type, bigint) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/post.sql
-- post: moves a locked balance and writes the ledger row that says so.
--
-- For operations that have checked their arguments and hold the lock. The row is numbered here, under the
-- lock, so the ledger's own trigger has nothing left to do.

create or replace function credits_private.post(
  p_user_id uuid,
  p_type public.credit_transaction_type,
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
  v_account public.user_credits := credits_private.move_balance(p_user_id, p_type, p_amount);
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

comment on function credits_private.post(uuid, public.credit_transaction_type, bigint, text, jsonb, text) is
  'Moves a locked balance and returns the ledger row. Raises PT402 insufficient_credits and PT422 balance_limit.';

revoke all on function credits_private.post(uuid, public.credit_transaction_type, bigint, text, jsonb, text)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/open_account.sql
-- open_account: gives a user their balance row, and the signup bonus once.
--
-- Called by the trigger on auth.users and by the first operation of a user whom the trigger missed. The
-- user is looked up and share-locked first, so an account never outlives a deletion that runs beside it.
-- The bonus is a ledger row with a key of our own: whoever comes twice, at once or later, gets it once.

create or replace function credits_private.open_account(p_user_id uuid)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_bonus bigint;
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
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'account_not_found',
      detail = '{}',
      hint = 'There is no such user.';
  end if;
  v_bonus := credits_private.signup_bonus_for(p_user_id);
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
  'Opens the account of a user and grants the signup bonus, both at most once. Raises PT401 not_authenticated for null and PT404 account_not_found.';

revoke all on function credits_private.open_account(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/open_accounts.sql
-- open_accounts: opens the accounts of users who were there before credits-db, a batch at a time.
--
-- Called by credits-db push in transactions of its own, so that no user waits for all others, and by the migration
-- for whoever is left. Takes the next p_limit users without an account, in the order of their ids and from
-- p_from on, and says with which id to go on. The users are share-locked first, so no account outlives a deletion.

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
  v_users pg_catalog.uuid[] := array(
    select u.id
    from auth.users as u
    where u.id >= p_from
      and not exists (select from public.user_credits as a where a.user_id = u.id and a.user_id >= p_from)
    order by u.id
    limit p_limit
    for key share of u
  );
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  with opened as (
    insert into public.user_credits (user_id, credits_remaining, total_credits, last_seq, created_at, updated_at)
    select u.id, b.bonus, b.bonus, sign(b.bonus), v_now, v_now
    from auth.users as u
    cross join lateral credits_private.signup_bonus_for(u.id) as b (bonus)
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

-- from sql/credits/private/lock_account.sql
-- lock_account: takes the one lock, opening the account if need be.
--
-- The first step of every operation that decides something about a balance; what it returns is the newest
-- committed state, and stays so until the transaction ends. NO KEY: a reference to the row need not wait.

create or replace function credits_private.lock_account(p_user_id uuid)
  returns public.user_credits
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
begin
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
-- compared as jsonb, so the order of its keys and 1.0 for 1 make no difference.

create or replace function credits_private.find_replay(
  p_user_id uuid,
  p_type public.credit_transaction_type,
  p_amount bigint,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text
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
  if found
    and (v_row.type, v_row.amount, v_row.description, v_row.metadata)
      is distinct from (p_type, p_amount, p_description, p_metadata)
  then
    raise exception using
      errcode = 'PT422',
      message = 'idempotency_key_reused',
      detail = json_build_object('idempotency_key', p_idempotency_key, 'seq', v_row.seq),
      hint = 'This key already names another operation of this user: use a new key for a new operation.';
  end if;
  return v_row;
end;
$$;

comment on function credits_private.find_replay(uuid, public.credit_transaction_type, bigint, text, jsonb, text) is
  'The ledger row that this key wrote, or a null row when it is unused. Raises PT422 idempotency_key_reused when it means something else.';

revoke all on function credits_private.find_replay(uuid, public.credit_transaction_type, bigint, text, jsonb, text)
  from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/is_unused.sql
-- is_unused: has this user no ledger row with this key?
--
-- The condition under which spend takes credits. Volatile, and that is the point: it looks with a snapshot of its
-- own. When the balance row was changed by somebody for whom the update had to wait, Postgres asks again, now
-- under the lock, and a snapshot as old as the update's would not show the ledger row that they have written.

create or replace function credits_private.is_unused(
  p_user_id uuid,
  p_idempotency_key text
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
  return not found;
end;
$$;

comment on function credits_private.is_unused(uuid, text) is
  'Whether no ledger row of this user has this key, as of now and not of the statement that asks.';

revoke all on function credits_private.is_unused(uuid, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/spend.sql
-- spend: the engine of consume_credit, and the hottest path of all.
--
-- Two writes for a spend that succeeds: the balance is taken and numbered in one update, which is also the
-- lock, and the ledger row is inserted. What the update passes over (a key that is there already, too few
-- credits, no account) is decided under the lock of lock_account, so a replay writes nothing. Whether the key is
-- unused is a condition of the update: asked again whenever it had to wait, it holds under the lock (is_unused).

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
      updated_at = credits_private.now()
    where a.user_id = p_user_id
      and a.credits_remaining - a.credits_held >= p_amount
      and (p_idempotency_key is null or credits_private.is_unused(p_user_id, p_idempotency_key))
    returning a.last_seq, a.credits_remaining, a.updated_at into v_seq, v_balance, v_now;
    exit when found;

    v_account := credits_private.lock_account(p_user_id);
    v_row := credits_private.find_replay(
      p_user_id, 'consumption', -p_amount, p_description, p_metadata, p_idempotency_key
    );
    if v_row.seq is not null then
      return v_row;
    end if;
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
-- Lock, look for the key, post: in that order, so that a replay moves nothing and two calls with one key
-- cannot both post. Only money in: refund and clawback_reversal give back something that was taken and
-- have operations of their own.

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
  if p_expires_at is not null then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'expires_at', 'value', p_expires_at),
      hint = 'This version keeps no expiry: leave expires_at out.';
  end if;
  perform credits_private.lock_account(p_user_id);
  v_row := credits_private.find_replay(
    p_user_id, p_type, p_amount, p_description, p_metadata, p_idempotency_key
  );
  if v_row.seq is null then
    v_row := credits_private.post(p_user_id, p_type, p_amount, p_description, p_metadata, p_idempotency_key);
  end if;
  return v_row;
end;
$$;

comment on function credits_private.add_credits(
  uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text
) is
  'Adds credits and returns the ledger row. Raises PT404 account_not_found, PT422 idempotency_key_reused or balance_limit, and 22023.';

revoke all on function credits_private.add_credits(
  uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text
) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/erase_account.sql
-- erase_account: removes a user whole, in one transaction.
--
-- Locks the user, then the balance: the order of a deletion in auth.users, of a sign-up and of a first spend,
-- so a spend beside it came before or finds no account. (A transaction that moves one balance twice looks at the
-- user again, for the foreign key, and may so meet a deletion in a deadlock; Postgres ends one of the two.)
-- Deleting the auth user does the rest: the balance goes by its foreign key, the ledger with the balance.
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
    select a.* into v_account from public.user_credits as a where a.user_id = p_user_id for update;
    get diagnostics v_accounts = row_count;
    select count(*) into v_transactions from public.credit_transactions as t where t.user_id = p_user_id;
    delete from auth.users as u where u.id = p_user_id;
    get diagnostics v_users = row_count;
  end if;
  v_receipt.user_id := p_user_id;
  v_receipt.deleted_at := credits_private.now();
  v_receipt.credits_written_off := coalesce(v_account.credits_remaining, 0);
  v_receipt.removed := jsonb_build_object(
    'auth.users', v_users,
    'public.user_credits', v_accounts,
    'public.credit_transactions', v_transactions
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
-- before it spends does not turn a newcomer away.

create or replace function credits_private.read_account(p_user_id uuid)
  returns public.user_credits
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_account public.user_credits;
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
    v_account.created_at := credits_private.now();
    v_account.updated_at := v_account.created_at;
  end if;
  return v_account;
end;
$$;

comment on function credits_private.read_account(uuid) is
  'The balance row of a user, or what it would be once opened. Raises PT404 account_not_found.';

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

-- from sql/credits/private/read_usage.sql
-- read_usage: what a user spent between two instants, the first included and the second not.

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
begin
  if p_since is null or p_until < p_since then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'since', 'value', p_since),
      hint = 'since is an instant, and until does not come before it.';
  end if;
  select
    coalesce(-sum(t.amount) filter (where t.type = 'consumption'), 0)::bigint,
    coalesce(sum(t.amount) filter (where t.type = 'refund'), 0)::bigint,
    count(*) filter (where t.type = 'consumption')
  into v_usage
  from public.credit_transactions as t
  where t.user_id = p_user_id
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
-- read_balance_at: what the balance was at a past instant, from the ledger alone.

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
  );
end;
$$;

comment on function credits_private.read_balance_at(uuid, timestamptz) is
  'The balance in credits at an instant, 0 before the first ledger row. Raises 22023 invalid_argument.';

revoke all on function credits_private.read_balance_at(uuid, timestamptz) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/verify_ledger.sql
-- verify_ledger: proves that every balance is what its ledger says, row by row.
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
  violations (user_id, seq, rule, expected, found) as (
    select e.user_id, e.seq, 'seq_has_gap'::pg_catalog.text, e.expected_seq::numeric, e.seq::numeric
    from entries as e
    where e.seq <> e.expected_seq
    union all
    select e.user_id, e.seq, 'balance_breaks_chain', e.running_sum, e.balance_after
    from entries as e
    where e.balance_after <> e.running_sum
    union all
    select e.user_id, e.seq, 'amount_breaks_type', e.expected_sign * abs(e.amount), e.amount
    from entries as e
    where sign(e.amount) <> e.expected_sign
    union all
    select c.user_id, null, 'balance_is_not_sum', c.balance, c.stored_balance
    from accounts as c
    where c.exists and c.stored_balance <> c.balance
    union all
    select c.user_id, null, 'used_is_not_consumption', c.used, c.stored_used
    from accounts as c
    where c.exists and c.stored_used <> c.used
    union all
    select c.user_id, null, 'last_seq_is_not_last', c.last_seq, c.stored_last_seq
    from accounts as c
    where c.exists and c.stored_last_seq <> c.last_seq
    union all
    select c.user_id, null, 'ledger_without_account', 0, c.last_seq
    from accounts as c
    where not c.exists
  )
  select
    v.user_id,
    v.seq,
    v.rule,
    least(greatest(v.expected, -9223372036854775808), 9223372036854775807)::bigint,
    v.found::bigint
  from violations as v
  order by v.user_id, v.seq, v.rule;
end;
$$;

comment on function credits_private.verify_ledger(uuid) is
  'Every place where the books of a user, or of all when null, do not add up. No rows is the good answer.';

revoke all on function credits_private.verify_ledger(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/explain_balance.sql
-- explain_balance: where a balance comes from, for a person who has to answer a mail about it.

create or replace function credits_private.explain_balance(p_user_id uuid)
  returns jsonb
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_account public.user_credits := credits_private.read_account(p_user_id);
begin
  return jsonb_build_object(
    'user_id', p_user_id,
    'credits_available', v_account.credits_remaining - v_account.credits_held,
    'credits_remaining', v_account.credits_remaining,
    'credits_held', v_account.credits_held,
    'total_credits', v_account.total_credits,
    'used_credits', v_account.used_credits,
    'operations', v_account.last_seq,
    'by_type', (
      select coalesce(jsonb_object_agg(g.type, jsonb_build_object('credits', g.credits, 'operations', g.operations)), '{}')
      from (
        select t.type, sum(t.amount) as credits, count(*) as operations
        from public.credit_transactions as t
        where t.user_id = p_user_id
        group by t.type
      ) as g
    ),
    'latest', (
      select coalesce(jsonb_agg(to_jsonb(h) - 'user_id' order by h.seq desc), '[]')
      from credits_private.read_history(p_user_id, 5, null, null) as h
    ),
    'adds_up', not exists (select from credits_private.verify_ledger(p_user_id))
  );
end;
$$;

comment on function credits_private.explain_balance(uuid) is
  'A JSON object: the figures of the balance, totals by type, the five newest ledger rows, whether the books add up. Raises PT404 account_not_found.';

revoke all on function credits_private.explain_balance(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/fields/credits_available.sql
-- credits_available: a computed field of user_credits, what may be spent now.
--
-- select=*,credits_available through PostgREST, (c).credits_available or credits_available(c) in SQL.

create or replace function public.credits_available(account public.user_credits)
  returns bigint
  language sql
  stable
  set search_path = ''
as $$
  select account.credits_remaining - account.credits_held;
$$;

comment on function public.credits_available(public.user_credits) is
  'Computed field: the credits that may be spent now, credits_remaining less credits_held.';

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
  'Take credits from the balance of the signed-in user. amount: credits, 1 to 10^12. Returns the ledger row; the same idempotency_key returns the same row again. Raises PT401 not_authenticated, PT402 insufficient_credits, PT404 account_not_found, PT422 idempotency_key_reused, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

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
  'Take credits from the balance of a user. amount: credits, 1 to 10^12. Returns the ledger row; the same idempotency_key returns the same row again. Raises PT401 not_authenticated for a null user_id, PT402 insufficient_credits, PT404 account_not_found, PT422 idempotency_key_reused, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

revoke all on function public.consume_credit_for(uuid, bigint, text, jsonb, text) from public, anon, authenticated, service_role;
grant execute on function public.consume_credit_for(uuid, bigint, text, jsonb, text) to service_role;
-- end

-- from sql/credits/rpc/add_credits_for.sql
-- add_credits_for: a service gives a user credits.
--
-- Never callable by users: whoever could call it could mint. Send an idempotency key made from what caused
-- the grant (the order, the invoice), and a retry gives nothing twice.

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
  'Add credits to the balance of a user. amount: credits, 1 to 10^12; type: purchase, bonus, signup_bonus, monthly_bonus or admin_adjustment. Returns the ledger row; the same idempotency_key returns the same row again. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found, PT422 idempotency_key_reused or balance_limit, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

revoke all on function public.add_credits_for(uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text) from public, anon, authenticated, service_role;
grant execute on function public.add_credits_for(uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text) to service_role;
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
  'The balance of the signed-in user, in credits; writes nothing. Raises PT401 not_authenticated and PT404 account_not_found.';

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
  'The balance of a user, in credits; writes nothing. Raises PT404 account_not_found.';

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
  'A JSON object about the balance of a user: the figures, totals by type, the newest ledger rows, whether the books add up. Raises PT404 account_not_found.';

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

-- from sql/credits/triggers/post_transaction.sql
-- post_transaction: a row added to the ledger moves the balance.
--
-- Fires for rows that arrive without seq, which is how a service (or the owner) adds one by hand. Keeps
-- every rule that the RPCs keep: limits, sign by type, keys, the lock. A used key moves nothing and is left
-- to the unique index, so insert .. on conflict do nothing is a replay. Definer rights: the service that
-- inserts may not touch balances itself.

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
    v_account := credits_private.move_balance(new.user_id, new.type, new.amount);
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
-- The other half of keep_ledger: without it, whoever may delete a balance row could delete a history.
-- remove_ledger stands in for a foreign key on the ledger, which every spend would have to pay for. A change of
-- user is refused by statement, because a row trigger before an update, of whichever column, makes Postgres
-- lock each row that any update touches, with a record in the WAL.

create or replace function credits_private.keep_accounts()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  if tg_op = 'DELETE' then
    if not exists (select from auth.users as u where u.id = old.user_id) then
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

-- from sql/credits/triggers/remove_ledger.sql
-- remove_ledger: takes the ledger rows of an account that has just gone.

create or replace function credits_private.remove_ledger()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  delete from public.credit_transactions as t where t.user_id = old.user_id;
  return null;
end;
$$;

comment on function credits_private.remove_ledger() is
  'Trigger on user_credits: deletes the ledger rows of a deleted account.';

revoke all on function credits_private.remove_ledger() from public, anon, authenticated, service_role;

create or replace trigger remove_ledger
  after delete on public.user_credits
  for each row
  execute function credits_private.remove_ledger();

alter table public.user_credits enable always trigger remove_ledger;

comment on trigger remove_ledger on public.user_credits is
  'The ledger goes with its account.';
-- end

-- check: what must hold before anything else may be built on this
do $$
begin
  if exists (
    select
    from pg_catalog.pg_trigger as t
    where t.tgrelid in ('public.user_credits'::regclass, 'public.credit_transactions'::regclass)
      and t.tgname ~ '^(keep|remove)_'
      and t.tgenabled <> 'A'
  ) then
    raise exception 'a guard of the ledger is not ENABLE ALWAYS';
  end if;
  if exists (
    select
    from pg_catalog.pg_proc as p
    where p.pronamespace = 'credits_private'::regnamespace
      and (has_function_privilege('anon', p.oid, 'execute') or p.proconfig is null)
  ) then
    raise exception 'a function of credits_private is open to anon or has no search_path';
  end if;
  if has_table_privilege('anon', 'public.user_credits', 'select')
    or has_table_privilege('authenticated', 'public.credit_transactions', 'insert')
  then
    raise exception 'a table of credits has a grant that it must not have';
  end if;
end;
$$;
