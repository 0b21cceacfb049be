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
