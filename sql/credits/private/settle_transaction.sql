-- settle_transaction: brings the ledger to what is known of a transaction.
--
-- Grants what was paid for and not granted, then posts the difference between what has been taken back and what
-- should be: a clawback or its reversal. A target and not a delta, so it may run as often as one likes, and
-- finishes whatever a crash left. The caller holds the balance of the claimant and the claim.

create or replace function credits_private.settle_transaction(
  p_claim credits_private.purchase_claims
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_purchase public.purchase_transactions;
  v_was public.purchase_transactions;
  v_share numeric;
  v_change bigint;
  v_exact numeric := 0::numeric;
  v_rounded bigint := 0::bigint;
begin
  for v_was in
    select p.*
    from public.purchase_transactions as p
    where p.user_id = p_claim.user_id
      and p.store = p_claim.store
      and p.environment = p_claim.environment
      and p.transaction_id = p_claim.transaction_id
      and p.verified_at is not null
    order by p.product_id
  loop
    v_purchase := v_was;
    if v_was.seq is null then
      v_purchase.seq := credits_private.grant_purchase(v_was);
    end if;
    v_share := credits_private.refunded_share(v_was);
    -- rounded so that the parts of a transaction come to the rounded whole
    v_exact := v_exact + v_was.credits * v_share;
    v_purchase.refunded_credits := round(v_exact)::bigint - v_rounded;
    v_rounded := v_rounded + v_purchase.refunded_credits;
    v_purchase.status := case
      when v_share >= 1 and not exists (
        select
        from credits_private.purchase_facts as f
        where f.store = v_was.store
          and f.environment = v_was.environment
          and f.transaction_id = v_was.transaction_id
          and f.kind = 'refund'
          and f.ref = 'trial:' || v_was.product_id
      ) then 'refunded'
      else 'completed'
    end::public.purchase_status;
    v_change := v_was.refunded_credits - v_purchase.refunded_credits;
    if v_change <> 0 then
      v_was.seq := v_purchase.seq;
      perform credits_private.adjust_purchase(
        v_was, v_change, 'Refund of ' || v_was.product_id || case when v_change > 0 then ' taken back' else '' end
      );
    end if;
    if v_was.entitlements <> '{}' then
      v_purchase.entitled_until := credits_private.period_end(v_was);
    end if;
    if v_purchase is distinct from v_was then
      update public.purchase_transactions as p
      set
        status = v_purchase.status,
        refunded_credits = v_purchase.refunded_credits,
        entitled_until = v_purchase.entitled_until,
        seq = v_purchase.seq
      where p.user_id = v_was.user_id
        and p.store = v_was.store
        and p.environment = v_was.environment
        and p.transaction_id = v_was.transaction_id
        and p.product_id = v_was.product_id;
    end if;
    if v_was.entitlements <> '{}' then
      perform credits_private.refresh_entitlements(
        coalesce(p_claim.entitled_user_id, v_was.user_id), v_was.entitlements
      );
    end if;
  end loop;
end;
$$;

comment on function credits_private.settle_transaction(credits_private.purchase_claims) is
  'Grants and takes back what is due for a claimed and locked transaction. Raises PT422 balance_limit.';

revoke all on function credits_private.settle_transaction(credits_private.purchase_claims) from public, anon, authenticated, service_role;
