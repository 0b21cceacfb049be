-- stripe_webhook: the address that Stripe calls, with no server in between.
--
-- PostgREST hands over the body as it came, because the only argument is json and has no name, and the headers as a setting.
-- Anybody may call; the signature decides. What is authentic is stored and answered with 200 whatever comes of it, so that
-- Stripe does not give up on what only needs a product or a user here.

create or replace function credits_private.stripe_webhook(
  p_body json
)
  returns jsonb
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_headers pg_catalog.jsonb := coalesce(nullif(current_setting('request.headers', true), ''), '{}')::pg_catalog.jsonb;
  v_event public.store_event;
begin
  perform credits_private.check_body(p_body);
  if not credits_private.is_signed('stripe', v_headers ->> 'stripe-signature', p_body::pg_catalog.text) then
    perform credits_private.refuse_signature();
  end if;
  v_event := credits_private.take_store_event('stripe', p_body, false);
  return jsonb_build_object('event_id', v_event.event_id, 'state', v_event.state, 'reason', v_event.reason);
end;
$$;

comment on function credits_private.stripe_webhook(json) is
  'The body of public.stripe_webhook, with definer rights.';

revoke all on function credits_private.stripe_webhook(json) from public, anon, authenticated, service_role;
grant execute on function credits_private.stripe_webhook(json) to anon;

create or replace function public.stripe_webhook(
  json
)
  returns jsonb
  language plpgsql
  volatile
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.stripe_webhook($1);
end;
$$;

comment on function public.stripe_webhook(json) is
  'Take a webhook of Stripe, authentic by its signature alone: POST the body as it is. Answers {"event_id", "state", "reason"} with 200 whatever became of it. Raises PT401 invalid_signature and PT413 payload_too_large.';

revoke all on function public.stripe_webhook(json) from public, anon, authenticated, service_role;
grant execute on function public.stripe_webhook(json) to anon;
