-- open_transaction: locks a transaction by all of its names, and returns the one claim that counts.
--
-- What is not there yet is made, so two events of one purchase wait for each other whichever came first. Names that turn
-- out to be of one transaction are joined: the one that has a user counts, the others lead to it, and what was known under
-- them moves over. Two names that were both credited are a conflict, never a second look.

create or replace function credits_private.open_transaction(
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
  v_roots pg_catalog.text[] := '{}';
  v_name pg_catalog.text;
begin
  for v_name in select distinct i.id from unnest(p_transaction_ids) as i (id) order by i.id loop
    loop
      insert into credits_private.purchase_claims as c (store, environment, transaction_id)
      values (p_store, p_environment, v_name)
      on conflict (store, environment, transaction_id) do nothing
      returning c.* into v_claim;
      if not found then
        select c.* into v_claim
        from credits_private.purchase_claims as c
        where c.store = p_store and c.environment = p_environment and c.transaction_id = v_name
        for update;
      end if;
      exit when v_claim.alias_of is null;
      v_name := v_claim.alias_of;
    end loop;
    v_roots := v_roots || v_name;
  end loop;
  if cardinality(v_roots) = 1 then
    return v_claim;
  end if;

  select c.* into v_claim
  from credits_private.purchase_claims as c
  where c.store = p_store and c.environment = p_environment and c.transaction_id = any (v_roots)
  order by c.user_id is null and not c.is_closed, array_position(p_transaction_ids, c.transaction_id), c.transaction_id
  limit 1;
  if exists (
    select
    from credits_private.purchase_claims as c
    where c.store = p_store
      and c.environment = p_environment
      and c.transaction_id = any (v_roots)
      and c.transaction_id <> v_claim.transaction_id
      and (c.user_id is not null or c.is_closed)
  ) then
    raise exception using
      errcode = 'PT409',
      message = 'purchase_conflict',
      detail = json_build_object('store', p_store, 'transaction_id', v_claim.transaction_id),
      hint = 'Two names of one transaction were credited already.';
  end if;
  insert into credits_private.purchase_facts as f (
    store, environment, transaction_id, kind, ref, product_id, stage, cents, basis_cents, currency, credits, until
  )
  select
    o.store, o.environment, v_claim.transaction_id, o.kind, o.ref, o.product_id, o.stage, o.cents, o.basis_cents,
    o.currency, o.credits, o.until
  from credits_private.purchase_facts as o
  where o.store = p_store
    and o.environment = p_environment
    and o.transaction_id = any (v_roots)
    and o.transaction_id <> v_claim.transaction_id
  on conflict (store, environment, transaction_id, kind, ref) do update
  set
    stage = greatest(f.stage, excluded.stage),
    cents = greatest(f.cents, excluded.cents),
    basis_cents = greatest(f.basis_cents, excluded.basis_cents),
    credits = greatest(f.credits, excluded.credits),
    until = greatest(f.until, excluded.until);
  delete from credits_private.purchase_facts as f
  where f.store = p_store
    and f.environment = p_environment
    and f.transaction_id = any (v_roots)
    and f.transaction_id <> v_claim.transaction_id;
  update credits_private.purchase_claims as c
  set alias_of = v_claim.transaction_id
  where c.store = p_store
    and c.environment = p_environment
    and c.transaction_id = any (v_roots)
    and c.transaction_id <> v_claim.transaction_id;
  return v_claim;
end;
$$;

comment on function credits_private.open_transaction(text, text, text[]) is
  'Locks the claim of a transaction, made where there is none, and joins its names. Raises PT409 purchase_conflict.';

revoke all on function credits_private.open_transaction(text, text, text[]) from public, anon, authenticated, service_role;
