-- record_fact: money went back, came back, or a period ended; the purchase follows, if it is here already.
--
-- The claimant's balance is locked before the claim. If the claimant turns out to be another under the lock of the claim
-- (the purchase came in between), their balance is taken without waiting, or the caller tries again: it waits for nobody out of turn.

create or replace function credits_private.record_fact(
  p_fact credits_private.store_fact
)
  returns uuid
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_user_id pg_catalog.uuid := (
    credits_private.find_claim(p_fact.store, p_fact.environment, p_fact.transaction_ids)
  ).user_id;
  v_claim credits_private.purchase_claims;
begin
  if v_user_id is not null then
    perform credits_private.lock_account(v_user_id);
  end if;
  v_claim := credits_private.open_transaction(null, null, p_fact.store, p_fact.environment, p_fact.transaction_ids);
  if v_claim.closed_account_id is not null then
    raise exception using
      errcode = 'PT410',
      message = 'account_closed',
      detail = '{}',
      hint = 'This transaction belonged to an account that was deleted.';
  end if;
  if v_claim.user_id <> v_user_id or v_user_id is null then
    perform from public.user_credits as a where a.user_id = v_claim.user_id for no key update skip locked;
    if v_claim.user_id is not null and not found then
      raise deadlock_detected using
        message = 'claimed_meanwhile',
        detail = '{}',
        hint = 'The purchase came in between: try again.';
    end if;
  end if;
  if p_fact.kind <> 'link' then
    perform credits_private.keep_fact(
      v_claim, p_fact.kind, p_fact.ref, p_fact.product_id, p_fact.stage, p_fact.cents, p_fact.basis_cents,
      p_fact.currency, null, p_fact.until
    );
  end if;
  if v_claim.user_id is not null then
    perform credits_private.settle_transaction(v_claim);
  end if;
  return v_claim.user_id;
end;
$$;

comment on function credits_private.record_fact(credits_private.store_fact) is
  'Writes down a fact and brings the purchase to it. Returns whose purchase it is, or null while that is unknown. Raises PT410 account_closed.';

revoke all on function credits_private.record_fact(credits_private.store_fact) from public, anon, authenticated, service_role;
