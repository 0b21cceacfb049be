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
  'The ledger row that is wrong (of a purchase: its first), or null when it is the balance row.';
comment on column public.ledger_violation.rule is
  'The rule that is broken: seq_has_gap, balance_breaks_chain, amount_breaks_type, balance_is_not_sum, used_is_not_consumption, last_seq_is_not_last, ledger_without_account, purchase_is_not_its_rows.';
comment on column public.ledger_violation.expected is
  'The figure that the rule asks for.';
comment on column public.ledger_violation.found is
  'The figure that is stored.';

revoke all on type public.ledger_violation from public, anon, authenticated, service_role;
grant usage on type public.ledger_violation to service_role;
