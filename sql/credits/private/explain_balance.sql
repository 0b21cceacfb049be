-- explain_balance: where a balance comes from, for a person who has to answer a mail about it.
--
-- Figures for programs, and under summary the same in sentences that can be pasted into the answer. As of now: what has
-- fallen due is counted, whether or not it was written.

create or replace function credits_private.explain_balance(p_user_id uuid)
  returns jsonb
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_account public.user_credits := credits_private.read_account(p_user_id);
  v_now pg_catalog.timestamptz := credits_private.now();
  v_lots pg_catalog.jsonb;
  v_holds pg_catalog.jsonb;
  v_grants pg_catalog.jsonb;
  v_debts pg_catalog.jsonb;
  v_types pg_catalog.jsonb;
  v_unwritten bigint;
begin
  select coalesce(jsonb_agg(to_jsonb(s) order by s.expires_at, s.seq), '[]')
  into v_lots
  from (
    select l.seq, t.type, t.description, l.granted, l.remaining + f.freed as remaining, h.held - f.freed as held, l.expires_at
    from credits_private.credit_lots as l
    join public.credit_transactions as t on t.user_id = l.user_id and t.seq = l.seq
    cross join lateral (
      select coalesce(sum(p.amount), 0)::bigint as held
      from credits_private.hold_lots as p
      where p.user_id = l.user_id and p.lot_seq = l.seq
    ) as h
    cross join lateral (
      select coalesce(sum(p.amount), 0)::bigint as freed
      from credits_private.hold_lots as p
      join public.credit_holds as e on e.user_id = p.user_id and e.id = p.hold_id
      where p.user_id = l.user_id and p.lot_seq = l.seq and e.expires_at <= v_now
    ) as f
    where l.user_id = p_user_id and (l.remaining > 0 and l.expires_at > v_now or h.held > 0)
  ) as s
  where s.held > 0 or s.expires_at > v_now;
  select coalesce(jsonb_agg(to_jsonb(s) order by s.expires_at, s.id), '[]')
  into v_holds
  from (
    select h.id, h.amount, h.description, h.created_at, h.expires_at
    from public.credit_holds as h
    where h.user_id = p_user_id and h.status = 'active' and h.expires_at > v_now
  ) as s;
  select coalesce(jsonb_agg(to_jsonb(s) order by s.name, s.next_at), '[]')
  into v_grants
  from (
    select g.name, g.amount, g.period, g.rollover, g.next_at
    from credits_private.find_grants(p_user_id, v_now) as g
    where g.next_at is not null
  ) as s;
  select coalesce(jsonb_agg(to_jsonb(s) order by s.seq desc), '[]')
  into v_debts
  from (
    select t.seq, t.type, t.amount, t.balance_after, t.description, t.created_at
    from public.credit_transactions as t
    where t.user_id = p_user_id
      and v_account.credits_remaining < 0
      and t.amount < 0
      and t.balance_after < 0
      and t.seq > (
        select coalesce(max(b.seq), 0)
        from public.credit_transactions as b
        where b.user_id = p_user_id and b.balance_after >= 0
      )
  ) as s;
  select coalesce(jsonb_object_agg(g.type, jsonb_build_object('credits', g.credits, 'operations', g.operations)), '{}')
  into v_types
  from (
    select t.type, sum(t.amount) as credits, count(*) as operations
    from public.credit_transactions as t
    where t.user_id = p_user_id
    group by t.type
  ) as g;
  v_unwritten := v_account.credits_remaining - coalesce(
    (select a.credits_remaining from public.user_credits as a where a.user_id = p_user_id), 0
  );
  return jsonb_build_object(
    'user_id', p_user_id,
    'as_of', v_now,
    'credits_available', v_account.credits_remaining - v_account.credits_held,
    'credits_remaining', v_account.credits_remaining,
    'credits_held', v_account.credits_held,
    'total_credits', v_account.total_credits,
    'used_credits', v_account.used_credits,
    'operations', v_account.last_seq,
    'unwritten', v_unwritten,
    'by_type', v_types,
    'lots', v_lots,
    'holds', v_holds,
    'recurring_grants', v_grants,
    'debts', v_debts,
    'latest', (
      select coalesce(jsonb_agg(to_jsonb(h) - 'user_id' order by h.seq desc), '[]')
      from credits_private.read_history(p_user_id, 5, null, null) as h
    ),
    'adds_up', not exists (select from credits_private.verify_ledger(p_user_id)),
    'summary', credits_private.summarize_balance(
      v_account, v_now, v_types, v_unwritten, v_lots, v_holds, v_grants, v_debts
    )
  );
end;
$$;

comment on function credits_private.explain_balance(uuid) is
  'A JSON object: the figures of the balance, totals by type, what has fallen due and is not written yet, lots, holds, recurring grants, debts and where they come from, the five newest ledger rows, whether the books add up, and a summary in sentences. Raises PT404 account_not_found and PT410 account_closed.';

revoke all on function credits_private.explain_balance(uuid) from public, anon, authenticated, service_role;
