-- adopt_accounts: opens the accounts of users who had credits before credits-db, with the balance and the past of before.
--
-- Called by whoever opens accounts, with the users shared. Reads the views that credits-db push made over the tables of
-- before (schema credits_before) and does nothing where there are none, which is nearly always. An opening row, then
-- the old rows in the order of time: together exactly the old balance, and of an app that counted them the old totals. Purchases
-- are claimed, so that a store that tells of one again finds it credited; one that the old ledger has is that row.
-- No signup bonus comes on top, ever.

create or replace function credits_private.adopt_accounts(p_users uuid[])
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_before constant pg_catalog.name := 'credits_before'::pg_catalog.name;
begin
  if to_regclass('credits_before.balances') is null then
    return;
  end if;
  begin
    execute format($adopt$
      with balances as (
        select b.*, least(coalesce(b.created_at, $2), $2) as opened_at
        from %1$I.balances as b
        where b.user_id = any ($1)
          and not exists (select from public.user_credits as a where a.user_id = b.user_id)
      ),
      bought as (
        select distinct on (p.user_id, p.store, p.environment, p.transaction_id, p.product_id)
          p.*, jsonb_build_array(p.store, p.environment, p.transaction_id, p.product_id)::pg_catalog.text as purchase
        from %1$I.purchases as p
        join balances as b on b.user_id = p.user_id
        where p.user_id = any ($1)
        order by p.user_id, p.store, p.environment, p.transaction_id, p.product_id, p.at
      ),
      claimed as (
        insert into credits_private.purchase_claims as c (store, environment, transaction_id, user_id, source, claimed_at)
        select distinct on (p.store, p.environment, p.transaction_id)
          p.store, p.environment, p.transaction_id, p.user_id, 'adopted', coalesce(p.at, $2)
        from bought as p
        order by p.store, p.environment, p.transaction_id, p.user_id
        on conflict (store, environment, transaction_id) do nothing
        returning c.*
      ),
      sales as (
        select
          p.*,
          p.status in ('completed', 'refunded') and p.credits > 0 as is_paid,
          row_number() over (
            partition by p.user_id, p.credits, p.status in ('completed', 'refunded') order by p.at, p.transaction_id, p.product_id
          ) as place
        from bought as p
        join claimed as c
          on (c.store, c.environment, c.transaction_id, c.user_id) = (p.store, p.environment, p.transaction_id, p.user_id)
      ),
      past as (
        select t.*, row_number() over (partition by t.user_id, t.type, t.amount order by t.at, t.id) as place
        from %1$I.transactions as t
        join balances as b on b.user_id = t.user_id
        where t.user_id = any ($1)
      ),
      known (user_id, at, step, id, type, amount, description, metadata, idempotency_key, purchase) as (
        select
          t.user_id,
          t.at,
          1,
          t.id,
          t.type,
          t.amount,
          t.description,
          case
            when p.purchase is null then t.metadata
            else t.metadata || jsonb_build_object(
              'store', p.store, 'environment', p.environment, 'transaction_id', p.transaction_id, 'product_id', p.product_id
            )
          end,
          case
            when p.purchase is null then 'credits:adopted:' || t.id
            else 'credits:purchase:' || encode(sha256(convert_to(p.purchase, 'UTF8')), 'hex')
          end,
          p.purchase
        from past as t
        left join sales as p
          on p.user_id = t.user_id and p.is_paid and t.type = 'purchase' and p.credits = t.amount and p.place = t.place
        union all
        select
          p.user_id,
          p.at,
          s.step,
          p.transaction_id,
          s.type::public.credit_transaction_type,
          s.amount,
          s.description || p.product_id,
          jsonb_build_object(
            'store', p.store, 'environment', p.environment, 'transaction_id', p.transaction_id, 'product_id', p.product_id
          ),
          case when s.step = 1 then 'credits:purchase:' || encode(sha256(convert_to(p.purchase, 'UTF8')), 'hex') end,
          case when s.step = 1 then p.purchase end
        from sales as p
        cross join lateral (
          values (1, 'purchase', p.credits, 'Purchase of '), (2, 'clawback', -p.credits, 'Refund of ')
        ) as s (step, type, amount, description)
        where p.is_paid
          and (
            s.step = 2 and p.status = 'refunded'
            or s.step = 1 and not exists (
              select
              from past as t
              where t.user_id = p.user_id and t.type = 'purchase' and t.amount = p.credits and t.place = p.place
            )
          )
      ),
      sums as (
        select
          k.user_id,
          sum(k.amount) as amount,
          coalesce(sum(k.amount) filter (where k.type in ('consumption', 'refund')), 0) as usage,
          min(k.at) as first_at,
          max(least(k.at, $2)) as last_at
        from known as k
        group by k.user_id
      ),
      entries as (
        select k.*, coalesce(least(k.at, $2), b.opened_at) as created_at
        from known as k
        join balances as b on b.user_id = k.user_id
        union all
        select
          o.*, case when o.step = 3 then greatest(b.opened_at, s.last_at) else least(b.opened_at, s.first_at) end
        from balances as b
        left join sums as s on s.user_id = b.user_id
        cross join lateral (
          select
            case
              when b.total is null then b.credits - coalesce(s.amount, 0)
              else b.total - coalesce(s.amount - s.usage, 0)
            end::bigint as opening,
            (b.credits - b.total - coalesce(s.usage, 0))::bigint as used
        ) as d
        cross join lateral (
          values
            (
              b.user_id, null::pg_catalog.timestamptz, case when d.opening < 0 then 3 else -1 end, '',
              'admin_adjustment'::public.credit_transaction_type, d.opening,
              'Balance before credits-db', '{}'::pg_catalog.jsonb, 'credits:adopted:opening', null
            ),
            (
              b.user_id, null, 0, '',
              case when d.used > 0 then 'refund' else 'consumption' end::public.credit_transaction_type, d.used,
              'Used before credits-db', '{}', 'credits:adopted:used', null
            )
        ) as o (user_id, at, step, id, type, amount, description, metadata, idempotency_key, purchase)
        where o.amount <> 0
      ),
      numbered as (
        select
          e.*,
          row_number() over w as seq,
          sum(e.amount) over w as balance_after
        from entries as e
        window w as (partition by e.user_id order by greatest(least(e.step, 1), e.step - 1), e.created_at, e.step, e.id)
      ),
      opened as (
        insert into public.user_credits as a (
          user_id, credits_remaining, total_credits, used_credits, last_bonus_date, last_purchase_at, last_seq,
          created_at, updated_at
        )
        select
          b.user_id,
          b.credits,
          b.credits + coalesce(n.used, 0),
          coalesce(n.used, 0),
          coalesce(b.last_bonus_date, n.last_bonus_date),
          coalesce(b.last_purchase_at, n.last_purchase_at),
          coalesce(n.last_seq, 0),
          least(b.opened_at, n.first_at),
          coalesce(n.updated_at, b.opened_at)
        from balances as b
        left join (
          select
            e.user_id,
            -sum(e.amount) filter (where e.type in ('consumption', 'refund')) as used,
            max(e.created_at) filter (where e.type = 'monthly_bonus') as last_bonus_date,
            max(e.created_at) filter (where e.type = 'purchase') as last_purchase_at,
            max(e.seq) as last_seq,
            min(e.created_at) as first_at,
            max(e.created_at) as updated_at
          from numbered as e
          group by e.user_id
        ) as n on n.user_id = b.user_id
        on conflict (user_id) do nothing
        returning a.user_id
      ),
      posted as (
        insert into public.credit_transactions (
          user_id, seq, amount, balance_after, created_at, type, idempotency_key, description, metadata
        )
        select
          n.user_id, n.seq, n.amount, n.balance_after, n.created_at, n.type, n.idempotency_key, n.description, n.metadata
        from numbered as n
        join opened as o on o.user_id = n.user_id
      ),
      rewarded as (
        insert into credits_private.bonus_claims (identity_hash, claimed_at)
        select credits_private.identity_hash('user', u.id::pg_catalog.text), ($2 at time zone 'UTC')::pg_catalog.date
        from auth.users as u
        join opened as o on o.user_id = u.id
        where u.is_anonymous
        on conflict (identity_hash) do nothing
      ),
      refunded as (
        insert into credits_private.purchase_facts (store, environment, transaction_id, kind, ref, product_id, stage)
        select p.store, p.environment, p.transaction_id, 'refund', 'adopted:' || p.product_id, p.product_id, 1
        from sales as p
        join opened as o on o.user_id = p.user_id
        where p.status = 'refunded'
        on conflict (store, environment, transaction_id, kind, ref) do nothing
      )
      insert into public.purchase_transactions (
        user_id, store, environment, transaction_id, product_id, provider, status, credits, refunded_credits, price_cents,
        currency, seq, payload, verified_at, created_at
      )
      select
        p.user_id, p.store, p.environment, p.transaction_id, p.product_id, p.provider, p.status, p.credits,
        case when p.status = 'refunded' then p.credits else 0 end,
        p.price_cents, p.currency, n.seq, p.payload,
        case when p.status in ('completed', 'refunded') then coalesce(p.verified_at, p.at, $2) end,
        coalesce(p.created_at, $2)
      from sales as p
      join opened as o on o.user_id = p.user_id
      left join numbered as n on n.user_id = p.user_id and n.purchase = p.purchase
      on conflict (user_id, store, environment, transaction_id, product_id) do nothing
    $adopt$, v_before)
    using p_users, credits_private.now();
  exception
    when undefined_table then  -- the push has ended just now, with an account for everybody
      return;
  end;
end;
$$;

comment on function credits_private.adopt_accounts(uuid[]) is
  'Opens the accounts of those of these users who had credits before credits-db, with their balance and their past.';

revoke all on function credits_private.adopt_accounts(uuid[]) from public, anon, authenticated, service_role;
