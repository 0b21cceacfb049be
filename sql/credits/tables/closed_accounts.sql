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
