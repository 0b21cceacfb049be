-- refuse_hold: the one wording of "this hold has ended".

create or replace function credits_private.refuse_hold(
  p_hold public.credit_holds
)
  returns void
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  raise exception using
    errcode = 'PT409',
    message = 'hold_not_active',
    detail = json_build_object('hold_id', p_hold.id, 'state', p_hold.status),
    hint = 'A hold is captured or released once, while it is active.';
end;
$$;

comment on function credits_private.refuse_hold(public.credit_holds) is
  'Raises PT409 hold_not_active with the state of the hold; always.';

revoke all on function credits_private.refuse_hold(public.credit_holds) from public, anon, authenticated, service_role;
