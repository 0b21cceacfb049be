-- claimant: who has this transaction already, under any of its names?
--
-- Asked before any lock is taken, so that the balance can be locked before the claim: every path takes them in that order.

create or replace function credits_private.claimant(
  p_store text,
  p_environment text,
  p_transaction_ids text[]
)
  returns uuid
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_user_id pg_catalog.uuid;
begin
  with recursive claims as (
    select c.user_id, c.alias_of
    from credits_private.purchase_claims as c
    where c.store = p_store and c.environment = p_environment and c.transaction_id = any (p_transaction_ids)
    union
    select c.user_id, c.alias_of
    from claims as a
    join credits_private.purchase_claims as c
      on c.store = p_store and c.environment = p_environment and c.transaction_id = a.alias_of
  )
  select c.user_id into v_user_id from claims as c where c.user_id is not null limit 1;
  return v_user_id;
end;
$$;

comment on function credits_private.claimant(text, text, text[]) is
  'The user who has claimed a transaction, or null.';

revoke all on function credits_private.claimant(text, text, text[]) from public, anon, authenticated, service_role;
