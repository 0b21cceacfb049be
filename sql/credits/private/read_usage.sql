-- read_usage: what a user spent between two instants, the first included and the second not.
--
-- A long ledger is entered where the window begins and left where it ends, with an hour to spare on each side for a
-- clock that was set back: as many rows are read as the window has, not as the user has.

create or replace function credits_private.read_usage(
  p_user_id uuid,
  p_since timestamptz,
  p_until timestamptz
)
  returns public.credit_usage
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_usage public.credit_usage;
  v_last bigint;
  v_first bigint := 0::bigint;
begin
  if p_since is null or p_until < p_since then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'since', 'value', p_since),
      hint = 'since is an instant, and until does not come before it.';
  end if;
  select a.last_seq into v_last from public.user_credits as a where a.user_id = p_user_id;
  if v_last > 1000 then
    v_first := credits_private.seq_before(p_user_id, v_last, p_since - pg_catalog.interval '1 hour');
    v_last := credits_private.seq_before(p_user_id, v_last, coalesce(p_until, 'infinity') + pg_catalog.interval '1 hour');
  end if;
  select
    coalesce(-sum(t.amount) filter (where t.type = 'consumption'), 0)::bigint,
    coalesce(sum(t.amount) filter (where t.type = 'refund'), 0)::bigint,
    count(*) filter (where t.type = 'consumption')
  into v_usage
  from public.credit_transactions as t
  where t.user_id = p_user_id
    and t.seq > v_first
    and t.seq <= v_last
    and t.created_at >= p_since
    and (p_until is null or t.created_at < p_until);
  return v_usage;
end;
$$;

comment on function credits_private.read_usage(uuid, timestamptz, timestamptz) is
  'Spending of a user in [since, until), until now when until is null. Raises 22023 invalid_argument.';

revoke all on function credits_private.read_usage(uuid, timestamptz, timestamptz) from public, anon, authenticated, service_role;
