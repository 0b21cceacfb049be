-- read_balance_at: what the balance was at a past instant.
--
-- The ledger up to then, and what had fallen due by then and was not written yet; what was written late is dated at
-- its own instant.

create or replace function credits_private.read_balance_at(
  p_user_id uuid,
  p_at timestamptz
)
  returns bigint
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  if p_at is null then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'at', 'value', p_at),
      hint = 'at is an instant.';
  end if;
  return coalesce(
    (
      select t.balance_after
      from public.credit_transactions as t
      where t.user_id = p_user_id
        and t.created_at <= p_at
      order by t.seq desc
      limit 1
    ),
    0
  ) + (credits_private.unswept(p_user_id, least(p_at, credits_private.now()))).credits;
end;
$$;

comment on function credits_private.read_balance_at(uuid, timestamptz) is
  'The balance in credits at an instant, 0 before the first ledger row. Raises 22023 invalid_argument.';

revoke all on function credits_private.read_balance_at(uuid, timestamptz) from public, anon, authenticated, service_role;
