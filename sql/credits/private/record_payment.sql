-- record_payment: a product was bought, or is being paid for; whoever says so, it is one purchase.
--
-- Claim and grant are steps of their own, each right when it runs again. Balance first, then the claim, as
-- everywhere. What the product is worth is written down on the first call and holds for ever; a second source that
-- tells of the same transaction adds nothing, under whatever product name.

create or replace function credits_private.record_payment(
  p_user_id uuid,
  p_provider text,
  p_fact credits_private.store_fact,
  p_payload jsonb,
  p_at timestamptz
)
  returns public.purchase_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims;
  v_product public.credit_products;
  v_purchase public.purchase_transactions;
  v_now pg_catalog.timestamptz;
begin
  perform credits_private.lock_account(p_user_id);
  v_now := credits_private.now();
  v_claim := credits_private.open_transaction(
    p_user_id, p_fact.source, p_fact.store, p_fact.environment, p_fact.transaction_ids
  );
  if v_claim.closed_account_id is not null then
    raise exception using
      errcode = 'PT410',
      message = 'account_closed',
      detail = '{}',
      hint = 'This transaction belonged to an account that was deleted: it is not credited again.';
  elsif v_claim.user_id <> p_user_id then
    raise exception using
      errcode = 'PT409',
      message = 'purchase_conflict',
      detail = json_build_object('store', p_fact.store, 'transaction_id', p_fact.transaction_ids[1]),
      hint = 'This transaction has been credited already.';
  end if;

  select p.* into v_purchase
  from public.purchase_transactions as p
  where p.user_id = p_user_id
    and p.store = v_claim.store
    and p.environment = v_claim.environment
    and p.transaction_id = v_claim.transaction_id
    and p.product_id = p_fact.product_id;
  if not found and v_claim.source <> p_fact.source then
    select p.* into v_purchase
    from public.purchase_transactions as p
    where p.user_id = p_user_id
      and p.store = v_claim.store
      and p.environment = v_claim.environment
      and p.transaction_id = v_claim.transaction_id
    order by p.product_id
    limit 1;
  end if;
  if v_purchase.user_id is not null then
    update public.purchase_transactions as p
    set
      verified_at = coalesce(p.verified_at, case when p_fact.stage = 2 then v_now end),
      -- they last from the day on which they were paid for
      credits_expire_at = case
        when p.verified_at is null and p_fact.stage = 2
          then credits_private.in_utc(p.credits_expire_at, v_now - p.created_at)
        else p.credits_expire_at
      end,
      status = case when p.status = 'pending' and p_fact.stage = 1 then 'failed' else p.status end,
      price_cents = least(
        p.price_cents, case when p_fact.currency = coalesce(p.currency, p_fact.currency) then p_fact.price_cents end
      ),
      currency = coalesce(p.currency, case when p_fact.price_cents is not null then p_fact.currency end),
      entitlements = case
        when p_fact.entitlements <@ p.entitlements is not false then p.entitlements
        else array(select e.name from unnest(p.entitlements || p_fact.entitlements) as e (name) group by e.name order by e.name)
      end
    where p.user_id = p_user_id
      and p.store = v_purchase.store
      and p.environment = v_purchase.environment
      and p.transaction_id = v_purchase.transaction_id
      and p.product_id = v_purchase.product_id
    returning p.* into v_purchase;
  else
    v_product := credits_private.find_product(p_fact, p_at);
    if p_fact.environment <> 'PRODUCTION' then
      perform credits_private.check_sandbox(p_user_id);
    end if;
    v_purchase.user_id := p_user_id;
    v_purchase.store := v_claim.store;
    v_purchase.environment := v_claim.environment;
    v_purchase.transaction_id := v_claim.transaction_id;
    v_purchase.product_id := p_fact.product_id;
    v_purchase.quantity := coalesce(p_fact.quantity, 1);
    v_purchase.credits := v_purchase.quantity * case
      when p_fact.is_trial then v_product.trial_credits
      else v_product.credits + v_product.bonus_credits
    end;
    v_purchase.entitlements := coalesce(p_fact.entitlements, '{}');
    if v_product.entitlement <> all (v_purchase.entitlements) and v_product.entitlement is not null then
      v_purchase.entitlements := array(
        select e.name from unnest(v_purchase.entitlements || v_product.entitlement) as e (name) order by e.name
      );
    end if;
    v_purchase.created_at := v_now;
    -- what Apple sold never expires
    if v_claim.store not in ('app_store', 'mac_app_store') then
      v_purchase.credits_expire_at := credits_private.in_utc(v_now, v_product.expires_after);
    end if;
    v_purchase.status :=
      case p_fact.stage when 0 then 'pending' when 1 then 'failed' else 'completed' end::public.purchase_status;
    if p_fact.stage = 2 then
      v_purchase.verified_at := v_now;
      v_purchase.seq := credits_private.grant_purchase(v_purchase);
    end if;
    insert into public.purchase_transactions as p (
      user_id, store, environment, transaction_id, product_id, provider, status, credits, quantity, price_cents,
      currency, entitlements, entitled_until, seq, payload, verified_at, created_at, credits_expire_at
    )
    values (
      p_user_id, v_purchase.store, v_purchase.environment, v_purchase.transaction_id, v_purchase.product_id, p_provider,
      v_purchase.status, v_purchase.credits, v_purchase.quantity, p_fact.price_cents, p_fact.currency,
      v_purchase.entitlements, p_fact.until, v_purchase.seq, p_payload, v_purchase.verified_at, v_purchase.created_at,
      v_purchase.credits_expire_at
    )
    returning p.* into v_purchase;
  end if;

  if v_purchase.entitlements <> '{}' and p_fact.stage = 2 then
    perform credits_private.keep_fact(
      v_claim, 'period', case when p_fact.until is null then 'forever:' else 'paid:' end || v_purchase.product_id,
      v_purchase.product_id, 1, null, null, null, null, p_fact.until
    );
  end if;
  if p_fact.basis_cents is not null and p_fact.stage = 2 then
    perform credits_private.keep_fact(
      v_claim, 'total', '', null, 1, p_fact.basis_cents, null, p_fact.currency, null, null
    );
  end if;
  if p_fact.is_trial and v_purchase.payload ->> 'type' = 'VIRTUAL_CURRENCY_TRANSACTION' then
    perform credits_private.correct_trial(v_claim, v_purchase, p_at);
  end if;
  -- an ordinary purchase is complete by now: no fact is known of it
  if v_purchase.verified_at is not null and v_purchase.seq is null or exists (
    select
    from credits_private.purchase_facts as f
    where f.store = v_claim.store and f.environment = v_claim.environment and f.transaction_id = v_claim.transaction_id
  ) then
    perform credits_private.settle_transaction(v_claim);
    select p.* into v_purchase
    from public.purchase_transactions as p
    where p.user_id = p_user_id
      and p.store = v_purchase.store
      and p.environment = v_purchase.environment
      and p.transaction_id = v_purchase.transaction_id
      and p.product_id = v_purchase.product_id;
  end if;
  return v_purchase;
end;
$$;

comment on function credits_private.record_payment(
  uuid, text, credits_private.store_fact, jsonb, timestamptz
) is
  'Records a payment for a user, credits it once, and returns the purchase. Raises PT409 purchase_conflict, PT410 account_closed, PT422 unknown_product or balance_limit, and 22023.';

revoke all on function credits_private.record_payment(
  uuid, text, credits_private.store_fact, jsonb, timestamptz
) from public, anon, authenticated, service_role;
