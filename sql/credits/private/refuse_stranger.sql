-- refuse_stranger: nobody here has this name; unless it, or the transaction, is of somebody who has left.

create or replace function credits_private.refuse_stranger(
  p_provider text,
  p_fact credits_private.store_fact
)
  returns void
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims := credits_private.find_claim(
    p_fact.store, p_fact.environment, p_fact.transaction_ids
  );
begin
  if v_claim.closed_account_id is not null or credits_private.find_gone(p_provider, p_fact.names) <> '{}' then
    raise exception using
      errcode = 'PT410',
      message = 'account_closed',
      detail = '{}',
      hint = 'This is about an account that was deleted.';
  end if;
  raise exception using
    errcode = 'PT404',
    message = 'unknown_user',
    detail = json_build_object('names', cardinality(p_fact.names)),
    hint = 'No account has one of these names yet: the event waits for its user.';
end;
$$;

comment on function credits_private.refuse_stranger(text, credits_private.store_fact) is
  'Raises PT404 unknown_user, or PT410 account_closed.';

revoke all on function credits_private.refuse_stranger(text, credits_private.store_fact) from public, anon, authenticated, service_role;
