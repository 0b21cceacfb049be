-- refuse_key: the one wording of "this key means something else", with its ledger row where it has one.

create or replace function credits_private.refuse_key(
  p_idempotency_key text,
  p_seq bigint
)
  returns void
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  raise exception using
    errcode = 'PT422',
    message = 'idempotency_key_reused',
    detail = json_build_object('idempotency_key', p_idempotency_key, 'seq', p_seq),
    hint = 'This key already names another operation of this user: use a new key for a new operation.';
end;
$$;

comment on function credits_private.refuse_key(text, bigint) is
  'Raises PT422 idempotency_key_reused; always.';

revoke all on function credits_private.refuse_key(text, bigint) from public, anon, authenticated, service_role;
