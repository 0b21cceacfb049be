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
