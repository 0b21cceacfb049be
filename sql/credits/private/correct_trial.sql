-- correct_trial: the purchase turns out to be a free trial.
--
-- RevenueCat's virtual currency event does not say so, and may come first; the purchase event does. The part that a trial is
-- not worth goes back, as a fact like any other.

create or replace function credits_private.correct_trial(
  p_claim credits_private.purchase_claims,
  p_purchase public.purchase_transactions,
  p_at timestamptz
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_fact credits_private.store_fact;
  v_trial bigint;
begin
  v_fact.store := p_purchase.store;
  v_fact.product_id := p_purchase.product_id;
  v_trial := (credits_private.find_product(v_fact, p_at)).trial_credits;
  if p_purchase.credits > v_trial then
    perform credits_private.keep_fact(
      p_claim, 'refund', 'trial:' || p_purchase.product_id, p_purchase.product_id, 1, null, null, null,
      p_purchase.credits - v_trial, null
    );
  end if;
end;
$$;

comment on function credits_private.correct_trial(credits_private.purchase_claims, public.purchase_transactions, timestamptz) is
  'Takes back what a trial is not worth.';

revoke all on function credits_private.correct_trial(credits_private.purchase_claims, public.purchase_transactions, timestamptz) from public, anon, authenticated, service_role;
