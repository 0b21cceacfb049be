-- explain_balance: where a balance comes from, for a person who has to answer a mail about it.

create or replace function credits_private.explain_balance(p_user_id uuid)
  returns jsonb
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_account public.user_credits := credits_private.read_account(p_user_id);
begin
  return jsonb_build_object(
    'user_id', p_user_id,
    'credits_available', v_account.credits_remaining - v_account.credits_held,
    'credits_remaining', v_account.credits_remaining,
    'credits_held', v_account.credits_held,
    'total_credits', v_account.total_credits,
    'used_credits', v_account.used_credits,
    'operations', v_account.last_seq,
    'by_type', (
      select coalesce(jsonb_object_agg(g.type, jsonb_build_object('credits', g.credits, 'operations', g.operations)), '{}')
      from (
        select t.type, sum(t.amount) as credits, count(*) as operations
        from public.credit_transactions as t
        where t.user_id = p_user_id
        group by t.type
      ) as g
    ),
    'latest', (
      select coalesce(jsonb_agg(to_jsonb(h) - 'user_id' order by h.seq desc), '[]')
      from credits_private.read_history(p_user_id, 5, null, null) as h
    ),
    'adds_up', not exists (select from credits_private.verify_ledger(p_user_id))
  );
end;
$$;

comment on function credits_private.explain_balance(uuid) is
  'A JSON object: the figures of the balance, totals by type, the five newest ledger rows, whether the books add up. Raises PT404 account_not_found.';

revoke all on function credits_private.explain_balance(uuid) from public, anon, authenticated, service_role;
