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
