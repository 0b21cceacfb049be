-- join_claims: several names turn out to be of one transaction.
--
-- The caller holds all of them. The name that has a purchase counts, else the one that the store prefers; facts
-- move there. Where two were credited to one user already, it was one payment told under two names: the second
-- purchase is taken back. To two users, it is a conflict for an operator.

create or replace function credits_private.join_claims(
  p_store text,
  p_environment text,
  p_roots text[],
  p_preferred text[]
)
  returns credits_private.purchase_claims
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims;
  v_other credits_private.purchase_claims;
  v_purchase public.purchase_transactions;
begin
  for v_other in
    select c.*
    from credits_private.purchase_claims as c
    where c.store = p_store and c.environment = p_environment and c.transaction_id = any (p_roots)
    order by
      c.closed_account_id is null,
      not exists (
        select
        from public.purchase_transactions as p
        where p.user_id = c.user_id
          and p.store = c.store
          and p.environment = c.environment
          and p.transaction_id = c.transaction_id
      ),
      c.user_id is null,
      array_position(p_preferred, c.transaction_id),
      c.transaction_id
  loop
    if v_claim.transaction_id is null then
      v_claim := v_other;
      continue;
    end if;
    for v_purchase in
      delete from public.purchase_transactions as p
      where p.user_id = v_other.user_id
        and p.store = v_other.store
        and p.environment = v_other.environment
        and p.transaction_id = v_other.transaction_id
      returning p.*
    loop
      if v_other.user_id is distinct from v_claim.user_id then
        raise exception using
          errcode = 'PT409',
          message = 'purchase_conflict',
          detail = json_build_object('store', p_store, 'transaction_id', v_claim.transaction_id),
          hint = 'Two names of one transaction were credited to two accounts.';
      end if;
      if v_purchase.seq is not null and v_purchase.credits > v_purchase.refunded_credits then
        perform credits_private.adjust_purchase(
          v_purchase, v_purchase.refunded_credits - v_purchase.credits, 'Second record of ' || v_purchase.product_id
        );
      end if;
      perform credits_private.refresh_entitlements(
        coalesce(v_other.entitled_user_id, v_other.user_id), v_purchase.entitlements
      );
    end loop;
    insert into credits_private.purchase_facts as f (
      store, environment, transaction_id, kind, ref, product_id, stage, cents, basis_cents, currency, credits, until
    )
    select
      o.store, o.environment, v_claim.transaction_id, o.kind, o.ref, o.product_id, o.stage, o.cents, o.basis_cents,
      o.currency, o.credits, o.until
    from credits_private.purchase_facts as o
    where o.store = p_store and o.environment = p_environment and o.transaction_id = v_other.transaction_id
    on conflict (store, environment, transaction_id, kind, ref) do update
    set
      stage = greatest(f.stage, excluded.stage),
      cents = greatest(f.cents, excluded.cents),
      basis_cents = greatest(f.basis_cents, excluded.basis_cents),
      credits = greatest(f.credits, excluded.credits),
      until = greatest(f.until, excluded.until);
    delete from credits_private.purchase_facts as f
    where f.store = p_store and f.environment = p_environment and f.transaction_id = v_other.transaction_id;
    update credits_private.purchase_claims as c
    set alias_of = v_claim.transaction_id, user_id = null, source = null, claimed_at = null
    where c.store = p_store and c.environment = p_environment and c.transaction_id = v_other.transaction_id;
  end loop;
  return v_claim;
end;
$$;

comment on function credits_private.join_claims(text, text, text[], text[]) is
  'Makes several locked claims one, and returns it. Raises PT409 purchase_conflict.';

revoke all on function credits_private.join_claims(text, text, text[], text[]) from public, anon, authenticated, service_role;
