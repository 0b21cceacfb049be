-- import_balance: credits one line of a file of balances.
--
-- For the owner (credits-db import-balances), which calls it for a batch of lines in one transaction: a line that cannot
-- be credited answers why, as a word, and leaves the others alone. The texts are as they stand in the file. The key makes
-- it replayable: a line that was credited before answers so and changes nothing.

create or replace function credits_private.import_balance(
  p_user_id uuid,
  p_amount text,
  p_expires_at text,
  p_idempotency_key text
)
  returns text
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_row public.credit_transactions;
  v_expires_at pg_catalog.timestamptz;
begin
  if p_amount !~ '^[0-9]{1,13}$' then
    return 'invalid_amount';
  end if;
  if p_expires_at ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' then
    v_expires_at := (p_expires_at || ' 00:00:00Z')::pg_catalog.timestamptz;
  elsif p_expires_at
    ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)$'
  then
    v_expires_at := p_expires_at::pg_catalog.timestamptz;
  elsif p_expires_at <> '' then
    return 'invalid_date';
  end if;
  v_account := credits_private.lock_account(p_user_id);
  v_row := credits_private.add_credits(
    p_user_id, p_amount::pg_catalog.int8, 'bonus', v_expires_at, 'Imported balance', '{}', p_idempotency_key
  );
  return case when v_row.seq <= v_account.last_seq then 'replayed' else 'credited' end;
exception
  when datetime_field_overflow or invalid_datetime_format or invalid_time_zone_displacement_value then
    return 'invalid_date';
  when sqlstate 'PT404' or sqlstate 'PT410' or sqlstate 'PT422' or sqlstate '22023' then
    return case sqlerrm when 'invalid_argument' then 'expired' else sqlerrm end;
end;
$$;

comment on function credits_private.import_balance(uuid, text, text, text) is
  'Credits a line of a file of balances as a bonus. p_amount: a whole number; p_expires_at: an ISO date (midnight UTC) or instant with a zone, or empty. Returns credited, replayed, or why not: invalid_date, expired, or the token of the refusal.';

revoke all on function credits_private.import_balance(uuid, text, text, text) from public, anon, authenticated, service_role;
