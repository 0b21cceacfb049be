-- open_transaction: locks a transaction by all of its names, and returns the one claim that counts.
--
-- What is not there yet is made, for p_user_id where one is given, so two events of one purchase wait for each other whichever
-- came first. Names that turn out to be of one transaction are joined: the one that has a user counts, the others lead to it,
-- and what was known under them moves over. What was credited under two names is join_claims' to mend.

create or replace function credits_private.open_transaction(
  p_user_id uuid,
  p_source text,
  p_store text,
  p_environment text,
  p_transaction_ids text[]
)
  returns credits_private.purchase_claims
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims;
  v_roots pg_catalog.text[] := '{}'::pg_catalog.text[];
  v_names pg_catalog.text[] := p_transaction_ids;
  v_name pg_catalog.text;
begin
  if cardinality(v_names) > 1 then
    v_names := array(select distinct n.name from unnest(v_names) as n (name) order by n.name);
  end if;
  foreach v_name in array v_names loop
    -- a new name leads to the preferred one, which is among these
    insert into credits_private.purchase_claims as c (
      store, environment, transaction_id, alias_of, user_id, source, claimed_at
    )
    values (
      p_store, p_environment, v_name,
      case when v_name <> p_transaction_ids[1] then p_transaction_ids[1] end,
      case when v_name = p_transaction_ids[1] then p_user_id end,
      case when v_name = p_transaction_ids[1] then p_source end,
      case when v_name = p_transaction_ids[1] and p_user_id is not null then credits_private.now() end
    )
    on conflict (store, environment, transaction_id) do nothing
    returning c.* into v_claim;
    continue when found and v_claim.alias_of is not null;
    if not found then
      loop
        update credits_private.purchase_claims as c
        set looks = c.looks + 1
        where c.store = p_store and c.environment = p_environment and c.transaction_id = v_name
        returning c.* into v_claim;
        exit when v_claim.alias_of is null;
        v_name := v_claim.alias_of;
      end loop;
    end if;
    if v_claim.transaction_id <> all (v_roots) then
      v_roots := v_roots || v_claim.transaction_id;
    end if;
  end loop;
  if cardinality(v_roots) > 1 then
    v_claim := credits_private.join_claims(p_store, p_environment, v_roots, p_transaction_ids);
  elsif v_claim.transaction_id <> v_roots[1] then
    select c.* into v_claim
    from credits_private.purchase_claims as c
    where c.store = p_store and c.environment = p_environment and c.transaction_id = v_roots[1];
  end if;
  if v_claim.user_id is null and v_claim.closed_account_id is null and p_user_id is not null then
    update credits_private.purchase_claims as c
    set user_id = p_user_id, source = p_source, claimed_at = credits_private.now()
    where c.store = p_store and c.environment = p_environment and c.transaction_id = v_claim.transaction_id
    returning c.* into v_claim;
  end if;
  return v_claim;
end;
$$;

comment on function credits_private.open_transaction(uuid, text, text, text, text[]) is
  'Locks the claim of a transaction, made where there is none, claimed for a user where one is given. Raises PT409 purchase_conflict.';

revoke all on function credits_private.open_transaction(uuid, text, text, text, text[]) from public, anon, authenticated, service_role;
