-- refunded_share: how much of a purchase has gone back, by all that is known of it.
--
-- The fold over its facts, and a pure question: the same facts give the same answer, in whatever order they came. Money
-- goes back by refunds (the greater of what a charge adds up to and what its refunds do by id, less those that failed) and by
-- disputes that were opened or lost; a refund and a dispute of the same money count once, since nothing goes back twice. Money
-- is measured against what was paid for the credits, without tax on top.

create or replace function credits_private.refunded_share(
  p_purchase public.purchase_transactions
)
  returns numeric
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_share numeric;
begin
  select
    -- three thirds are a whole
    least(1, round(
      greatest(
        coalesce(sum(s.share) filter (where s.kind = 'refund' and s.stage = 1), 0),
        coalesce(sum(s.share) filter (where s.kind = 'refunded'), 0)
          - coalesce(sum(s.share) filter (where s.kind = 'refund' and s.stage = 2), 0)
      )
      + coalesce(sum(s.share) filter (where s.kind = 'dispute' and s.stage between 1 and 3), 0),
      12
    ))
  into v_share
  from (
    select
      f.kind,
      f.stage,
      case
        when f.credits is not null then f.credits / nullif(t.credits, 0)
        when f.cents is null then 1
        when f.currency <> p_purchase.currency then coalesce(f.cents / nullif(f.basis_cents, 0)::numeric, 1)
        else coalesce(f.cents / nullif(least(t.cents, f.basis_cents, t.basis_cents), 0), 1)
      end as share
    from credits_private.purchase_facts as f
    cross join (
      -- what the whole transaction was paid for, and what its charges came to
      select
        sum(p.credits) as credits,
        greatest(
          case when bool_and(p.price_cents is not null) then sum(p.price_cents) end,
          (
            select max(b.cents)
            from credits_private.purchase_facts as b
            where b.store = p_purchase.store
              and b.environment = p_purchase.environment
              and b.transaction_id = p_purchase.transaction_id
              and b.kind = 'total'
          )
        ) as cents,
        (
          select max(b.basis_cents)
          from credits_private.purchase_facts as b
          where b.store = p_purchase.store
            and b.environment = p_purchase.environment
            and b.transaction_id = p_purchase.transaction_id
        )::numeric as basis_cents
      from public.purchase_transactions as p
      where p.user_id = p_purchase.user_id
        and p.store = p_purchase.store
        and p.environment = p_purchase.environment
        and p.transaction_id = p_purchase.transaction_id
    ) as t
    where f.store = p_purchase.store
      and f.environment = p_purchase.environment
      and f.transaction_id = p_purchase.transaction_id
      and f.kind in ('refund', 'refunded', 'dispute')
      -- a name that is no purchase here is another source's word for what is
      and (
        f.product_id is null
        or f.product_id = p_purchase.product_id
        or not exists (
          select
          from public.purchase_transactions as o
          where o.user_id = p_purchase.user_id
            and o.store = p_purchase.store
            and o.environment = p_purchase.environment
            and o.transaction_id = p_purchase.transaction_id
            and o.product_id = f.product_id
        )
      )
      and not exists (
        select
        from credits_private.purchase_facts as r
        where r.store = f.store
          and r.environment = f.environment
          and r.transaction_id = f.transaction_id
          and r.kind = 'reversal'
          and r.ref = f.ref
      )
  ) as s;
  return v_share;
end;
$$;

comment on function credits_private.refunded_share(public.purchase_transactions) is
  'The part of a purchase that has gone back, from 0 to 1.';

revoke all on function credits_private.refunded_share(public.purchase_transactions) from public, anon, authenticated, service_role;
