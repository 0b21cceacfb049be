-- refuse_spend: the one wording of "not enough credits".

create or replace function credits_private.refuse_spend(
  p_account public.user_credits,
  p_amount bigint
)
  returns void
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  raise exception using
    errcode = 'PT402',
    message = 'insufficient_credits',
    detail = json_build_object(
      'amount', p_amount,
      'credits_available', p_account.credits_remaining - p_account.credits_held,
      'credits_remaining', p_account.credits_remaining
    ),
    hint = 'Add credits, or spend fewer.';
end;
$$;

comment on function credits_private.refuse_spend(public.user_credits, bigint) is
  'Raises PT402 insufficient_credits with the amount and what is available; always.';

revoke all on function credits_private.refuse_spend(public.user_credits, bigint) from public, anon, authenticated, service_role;
