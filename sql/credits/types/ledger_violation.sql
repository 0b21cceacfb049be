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
