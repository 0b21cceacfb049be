-- seq_before: how many of the first rows of a ledger are older than an instant.
--
-- By halving, since rows are dated in their order: some 20 looks into a million rows. Where a clock was set back
-- the answer is as far off as the clock was; whoever asks leaves room for that.

create or replace function credits_private.seq_before(
  p_user_id uuid,
  p_last_seq bigint,
  p_at timestamptz
)
  returns bigint
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_low bigint := 0::bigint;
  v_high bigint := p_last_seq + 1;
  v_middle bigint;
begin
  while v_high - v_low > 1 loop
    v_middle := (v_low + v_high) / 2;
    perform from public.credit_transactions as t
    where t.user_id = p_user_id and t.seq = v_middle and t.created_at < p_at;
    if found then
      v_low := v_middle;
    else
      v_high := v_middle;
    end if;
  end loop;
  return v_low;
end;
$$;

comment on function credits_private.seq_before(uuid, bigint, timestamptz) is
  'The seq of the last ledger row of a user before an instant, 0 where there is none.';

revoke all on function credits_private.seq_before(uuid, bigint, timestamptz) from public, anon, authenticated, service_role;
