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
