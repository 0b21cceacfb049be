-- read_revenuecat_event: what an event of RevenueCat says, as facts.
--
-- One place knows RevenueCat's words. Only the types that are paid make a payment; what a refund is, the cancel reason
-- decides, never the sign of a price. A transaction of Stripe that RevenueCat tells of keeps Stripe's own name, so that it
-- meets Stripe's events. Field names: RevenueCat, "Event types and fields".

create or replace function credits_private.read_revenuecat_event(
  p_body jsonb
)
  returns credits_private.store_fact[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_event pg_catalog.jsonb := p_body -> 'event';
  v_type pg_catalog.text := v_event ->> 'type';
  v_aliases pg_catalog.jsonb := case jsonb_typeof(v_event -> 'aliases') when 'array' then v_event -> 'aliases' else '[]' end;
  v_expiration pg_catalog.jsonb := v_event -> 'expiration_at_ms';
  v_fact credits_private.store_fact;
begin
  if jsonb_typeof(v_event) is distinct from 'object' then
    perform credits_private.refuse_shape('event');
  end if;
  perform credits_private.require_text(v_event, 'type');
  v_fact.names := credits_private.clean_names(
    array[v_event ->> 'app_user_id', v_event ->> 'original_app_user_id']
    || array(select a.name from jsonb_array_elements_text(v_aliases) as a (name))
  );
  v_fact.store := lower(v_event ->> 'store');
  v_fact.environment := coalesce(v_event ->> 'environment', v_event ->> 'purchase_environment');
  if v_fact.store = 'test_store' then
    v_fact.environment := 'SANDBOX';
  end if;
  v_fact.product_id := v_event ->> 'product_id';
  v_fact.ref := 'changes_nothing';
  v_fact.kind := case
    when v_type in ('INITIAL_PURCHASE', 'RENEWAL', 'NON_RENEWING_PURCHASE') then 'payment'
    when v_type = 'VIRTUAL_CURRENCY_TRANSACTION'
      and v_event ->> 'source' = 'in_app_purchase'
      and jsonb_path_exists(v_event, '$.adjustments[*].amount ? (@ > 0)')
    then 'payment'
    when v_type = 'CANCELLATION' and v_event ->> 'cancel_reason' = 'CUSTOMER_SUPPORT' then 'refund'
    when v_type = 'REFUND_REVERSED' then 'reversal'
    when v_type = 'EXPIRATION' then 'period'
    when v_type = 'SUBSCRIPTION_EXTENDED' then 'period'
    when v_type = 'BILLING_ISSUE' and jsonb_typeof(v_event -> 'grace_period_expiration_at_ms') = 'number' then 'period'
    when v_type = 'TRANSFER' then 'transfer'
    when v_type = 'SUBSCRIBER_ALIAS' then 'alias'
    else 'nothing'
  end;

  if v_fact.kind = 'nothing' then
    v_fact.transaction_ids := array_remove(array[v_event ->> 'transaction_id'], null);
    v_fact.ref := case
      when v_type = 'TEST' then 'test'
      when v_type in (
        'CANCELLATION', 'UNCANCELLATION', 'BILLING_ISSUE', 'PRODUCT_CHANGE', 'SUBSCRIPTION_PAUSED',
        'TEMPORARY_ENTITLEMENT_GRANT', 'INVOICE_ISSUANCE', 'VIRTUAL_CURRENCY_TRANSACTION', 'EXPERIMENT_ENROLLMENT',
        'PURCHASE_REDEEMED', 'PRICE_INCREASE_CONSENT_REQUIRED', 'PRICE_INCREASE_CONSENT_APPROVED'
      ) or starts_with(v_type, 'PAYWALL_') then 'changes_nothing'
      else 'unknown_type'
    end;
    if v_type = 'TEST' then
      v_fact.names := '{}';
    end if;
    return array[v_fact];
  end if;

  if v_fact.kind = 'alias' then
    return array[v_fact];
  end if;

  if v_fact.kind = 'transfer' then
    if jsonb_typeof(v_event -> 'transferred_to') is distinct from 'array'
      or jsonb_typeof(v_event -> 'transferred_from') is distinct from 'array'
    then
      perform credits_private.refuse_shape('transferred_to');
    end if;
    v_fact.names := credits_private.clean_names(
      array(select n.name from jsonb_array_elements_text(v_event -> 'transferred_to') as n (name))
    );
    v_fact.former_names := credits_private.clean_names(
      array(select n.name from jsonb_array_elements_text(v_event -> 'transferred_from') as n (name))
    );
    return array[v_fact];
  end if;

  -- from here on the event is about a transaction
  if v_event -> 'is_family_share' = 'true' then
    v_fact.kind := 'nothing';
    v_fact.ref := 'family_share';
    return array[v_fact];
  end if;
  perform credits_private.require_text(v_event, 'store');
  v_fact.transaction_ids := array[credits_private.require_text(v_event, 'transaction_id')];
  if v_fact.store = 'stripe' and v_fact.transaction_ids[1] !~ '^(pi|in|cs|ch|py)_' then
    raise exception using
      errcode = '22023',
      message = 'unmapped_transaction',
      detail = json_build_object('transaction_id', v_fact.transaction_ids[1]),
      hint = 'RevenueCat tells of a payment by Stripe under a name that Stripe does not use for payments.';
  end if;
  v_fact.product_id := credits_private.require_text(v_event, 'product_id');
  v_fact.stage := 1;
  v_fact.ref := 'store:' || v_fact.product_id;
  if jsonb_typeof(v_expiration) = 'number' then
    v_fact.until := to_timestamp(least(greatest(v_expiration::numeric / 1000, 0), 253402300799)::double precision);
  end if;

  if v_fact.kind = 'payment' then
    v_fact.stage := 2;
    v_fact.source := 'revenuecat';
    v_fact.quantity := 1;
    if v_type = 'VIRTUAL_CURRENCY_TRANSACTION' then
      v_fact.until := to_timestamp(0);  -- it does not say until when; the purchase event does
    end if;
    v_fact.is_trial := v_event ->> 'period_type' = 'TRIAL';
    v_fact.currency := upper(v_event ->> 'currency');
    if jsonb_typeof(v_event -> 'price_in_purchased_currency') = 'number' then
      v_fact.price_cents := credits_private.to_cents((v_event -> 'price_in_purchased_currency')::numeric, v_fact.currency);
    end if;
    v_fact.list_cents := v_fact.price_cents;
    v_fact.entitlements := case
      when jsonb_typeof(v_event -> 'entitlement_ids') = 'array'
        then array(
          select distinct e.name
          from jsonb_array_elements_text(v_event -> 'entitlement_ids') as e (name)
          where length(e.name) between 1 and 100
          order by e.name
          limit 20
        )
      else array_remove(array[v_event ->> 'entitlement_id'], null)
    end;
  elsif v_type = 'EXPIRATION' then
    v_fact.ref := 'expired:' || v_fact.product_id;
    if v_fact.until is null then
      perform credits_private.refuse_shape('expiration_at_ms');
    end if;
  elsif v_fact.kind = 'period' then
    v_fact.ref := 'extended:' || v_fact.product_id;
    if v_type = 'BILLING_ISSUE' then
      v_fact.until := to_timestamp(
        least(greatest((v_event -> 'grace_period_expiration_at_ms')::numeric / 1000, 0), 253402300799)::double precision
      );
    end if;
  end if;
  return array[v_fact];
end;
$$;

comment on function credits_private.read_revenuecat_event(jsonb) is
  'What an event of RevenueCat says. Raises 22023 wrong_shape or unmapped_transaction.';

revoke all on function credits_private.read_revenuecat_event(jsonb) from public, anon, authenticated, service_role;
