-- check_entry: what a caller may write into the ledger.
--
-- Called by every operation that takes these arguments, before it locks anything. The checks of metadata
-- stand in this order for a reason: 4 kB of jsonb can hold numbers that print to megabytes, so size comes
-- first (unpacked: || '{}', since a value from a table may be compressed), numbers that no double could hold
-- next, and the printed length, cheap by then, last.

create or replace function credits_private.check_entry(
  p_amount bigint,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text
)
  returns void
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  if p_amount is null or p_amount not between 1 and 1000000000000 then
    raise exception using
      errcode = '22023',
      message = 'invalid_amount',
      detail = json_build_object('amount', p_amount),
      hint = 'An amount is a whole number of credits from 1 to 1000000000000.';
  end if;
  if p_idempotency_key is not null
    and (length(p_idempotency_key) not between 1 and 255 or starts_with(p_idempotency_key, 'credits:'))
  then
    raise exception using
      errcode = '22023',
      message = 'invalid_idempotency_key',
      detail = json_build_object('length', length(p_idempotency_key)),
      hint = 'An idempotency key has 1 to 255 characters and does not begin with credits: (those are ours).';
  end if;
  if length(p_description) > 500 then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'description', 'length', length(p_description)),
      hint = 'A description has at most 500 characters.';
  end if;
  if p_metadata is null or jsonb_typeof(p_metadata) <> 'object' then
    raise exception using
      errcode = '22023',
      message = 'invalid_metadata',
      detail = '{}',
      hint = 'Metadata is a JSON object; {} when there is nothing to say.';
  end if;
  if pg_column_size(p_metadata || '{}') > 4096
    or jsonb_path_exists(p_metadata, '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))')
    or octet_length(p_metadata::pg_catalog.text) > 16384
  then
    raise exception using
      errcode = '22023',
      message = 'invalid_metadata',
      detail = '{}',
      hint = 'Metadata is an object of at most 4 kB that prints to at most 16 kB, with numbers up to 1e308.';
  end if;
end;
$$;

comment on function credits_private.check_entry(bigint, text, jsonb, text) is
  'Checks amount, description, metadata and key. Raises 22023 invalid_amount, invalid_idempotency_key, invalid_argument or invalid_metadata.';

revoke all on function credits_private.check_entry(bigint, text, jsonb, text) from public, anon, authenticated, service_role;
