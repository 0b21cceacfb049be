-- queue_alert: tells the outbox that a spend took a balance below its alert_below.
--
-- Called by whoever has just found that it did: above or at it before, below it now, so once a crossing.

create or replace function credits_private.queue_alert(
  p_user_id uuid,
  p_alert_below bigint,
  p_balance bigint,
  p_seq bigint,
  p_at timestamptz
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  insert into credits_private.outbox (kind, user_id, payload, created_at, claimable_at)
  values (
    'low_balance',
    p_user_id,
    jsonb_build_object('credits_remaining', p_balance, 'alert_below', p_alert_below, 'seq', p_seq),
    p_at,
    p_at
  );
end;
$$;

comment on function credits_private.queue_alert(uuid, bigint, bigint, bigint, timestamptz) is
  'Queues a low_balance item.';

revoke all on function credits_private.queue_alert(uuid, bigint, bigint, bigint, timestamptz)
  from public, anon, authenticated, service_role;
