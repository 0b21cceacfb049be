-- find_claim: who has this transaction already, under any of its names?
--
-- Asked before any lock is taken, so that the balance can be locked before the claim: every path takes them in that order.

create or replace function credits_private.find_claim(
  p_store text,
  p_environment text,
  p_transaction_ids text[]
)
  returns credits_private.purchase_claims
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims;
begin
  with recursive claims as (
    select c.*
    from credits_private.purchase_claims as c
    where c.store = p_store and c.environment = p_environment and c.transaction_id = any (p_transaction_ids)
    union
    select c.*
    from claims as a
    join credits_private.purchase_claims as c
      on c.store = p_store and c.environment = p_environment and c.transaction_id = a.alias_of
  )
  select c.* into v_claim from claims as c where c.user_id is not null or c.closed_account_id is not null limit 1;
  return v_claim;
end;
$$;

comment on function credits_private.find_claim(text, text, text[]) is
  'The claim of a transaction that somebody has or had, or a null row.';

revoke all on function credits_private.find_claim(text, text, text[]) from public, anon, authenticated, service_role;
