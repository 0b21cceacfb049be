-- adjust_purchase: posts a clawback, or its reversal, and sees to the lots.
--
-- A clawback takes from the lot of its own purchase first, held or not. Credits of that lot which have expired are
-- put back before, or they would be taken twice, and a refund that comes late would leave another balance than one
-- in time. A reversal gives back to where the clawbacks took from. The caller holds the lock of the balance.

create or replace function credits_private.adjust_purchase(
  p_purchase public.purchase_transactions,
  p_change bigint,
  p_description text
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_row public.credit_transactions;
  v_lot credits_private.credit_lots;
  v_expired bigint;
  v_left bigint;
  v_held pg_catalog.record;
begin
  perform credits_private.settle_account(p_purchase.user_id);
  if p_change > 0 then
    v_row := credits_private.post(
      p_purchase.user_id, 'clawback_reversal', p_change, p_description, credits_private.name_purchase(p_purchase), null
    );
    perform credits_private.give_back(
      p_purchase.user_id, p_purchase.seq, v_row.seq, p_change, p_purchase.refunded_credits, v_row.created_at
    );
    return;
  end if;
  select l.* into v_lot
  from credits_private.credit_lots as l
  where l.user_id = p_purchase.user_id and l.seq = p_purchase.seq;
  if found then
    select least(coalesce(-sum(t.amount), 0), -p_change)::bigint
    into v_expired
    from credits_private.lot_allocations as t
    join public.credit_transactions as e on e.user_id = t.user_id and e.seq = t.seq
    where t.user_id = p_purchase.user_id
      and t.lot_seq = p_purchase.seq
      and t.origin_seq = t.seq
      and (e.type = 'expiration' or e.type = 'admin_adjustment' and t.amount > 0);
    if v_expired > 0 then
      v_row := credits_private.post(
        p_purchase.user_id, 'admin_adjustment', v_expired, 'Expired credits of ' || p_purchase.product_id || ', refunded',
        jsonb_build_object('lot', p_purchase.seq), null
      );
      insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
      values (p_purchase.user_id, v_row.seq, v_row.seq, p_purchase.seq, v_expired);
      v_lot.remaining := v_lot.remaining + v_expired;
    end if;
  end if;
  v_row := credits_private.post(
    p_purchase.user_id, 'clawback', p_change, p_description, credits_private.name_purchase(p_purchase), null
  );
  if v_lot.seq is not null then
    v_left := -p_change - least(v_lot.remaining, -p_change);
    update credits_private.credit_lots as l
    set remaining = greatest(v_lot.remaining + p_change, 0)
    where l.user_id = p_purchase.user_id and l.seq = p_purchase.seq;
    -- next what holds have of this very lot: they stay, and stand on credits that never expire
    for v_held in
      select p.hold_id, p.amount
      from credits_private.hold_lots as p
      join public.credit_holds as h on h.user_id = p.user_id and h.id = p.hold_id
      where p.user_id = p_purchase.user_id and p.lot_seq = p_purchase.seq
      order by h.created_at, h.id
    loop
      exit when v_left = 0;
      if v_held.amount > v_left then
        update credits_private.hold_lots as p
        set amount = p.amount - v_left
        where p.user_id = p_purchase.user_id and p.hold_id = v_held.hold_id and p.lot_seq = p_purchase.seq;
      else
        delete from credits_private.hold_lots as p
        where p.user_id = p_purchase.user_id and p.hold_id = v_held.hold_id and p.lot_seq = p_purchase.seq;
      end if;
      v_left := v_left - least(v_left, v_held.amount);
    end loop;
    if v_left < -p_change then
      insert into credits_private.lot_allocations (user_id, origin_seq, seq, lot_seq, amount)
      values (p_purchase.user_id, p_purchase.seq, v_row.seq, p_purchase.seq, p_change + v_left);
    end if;
  end if;
  perform credits_private.cover_debt(p_purchase.user_id, p_purchase.seq, v_row.seq);
end;
$$;

comment on function credits_private.adjust_purchase(public.purchase_transactions, bigint, text) is
  'Posts what a store took back of a purchase (negative) or gave back (positive). Raises PT422 balance_limit.';

revoke all on function credits_private.adjust_purchase(public.purchase_transactions, bigint, text)
  from public, anon, authenticated, service_role;
