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
