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
