-- set_alert_for: the balance of a user below which a worker hears of it.
--
-- A spend that takes the balance below queues one low_balance item in the outbox (claim_outbox), once a crossing.

create or replace function public.set_alert_for(
  user_id uuid,
  alert_below bigint default null
)
  returns public.user_credits
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  if abs(alert_below::numeric) > 9007199254740991 then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'alert_below', 'value', alert_below),
      hint = 'alert_below is a balance in credits, or null for no notice.';
  end if;
  perform credits_private.lock_account(user_id);
  update public.user_credits as a
  set alert_below = set_alert_for.alert_below
  where a.user_id = set_alert_for.user_id;
  return credits_private.read_account(user_id);
end;
$$;

comment on function public.set_alert_for(uuid, bigint) is
  'Queue a low_balance item when a spend takes the balance of a user below alert_below, in credits; null for none. Returns the balance row. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found, PT410 account_closed and 22023 invalid_argument.';

revoke all on function public.set_alert_for(uuid, bigint) from public, anon, authenticated, service_role;
grant execute on function public.set_alert_for(uuid, bigint) to service_role;
