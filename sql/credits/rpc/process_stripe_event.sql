-- process_stripe_event: takes an event of Stripe from a server that has verified its signature.
--
-- Stored whatever it says and whatever comes of it; what it says is done in the same call. Send the same event as often as
-- you like. With deferred it is only stored, so a server can commit the body before it runs the effect.

create or replace function public.process_stripe_event(
  body json,
  deferred boolean default false
)
  returns public.store_event
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  perform credits_private.check_body(body);
  return credits_private.take_store_event('stripe', body, deferred);
end;
$$;

comment on function public.process_stripe_event(json, boolean) is
  'Take an event of Stripe: store it, do what it says, and return what became of it. Verify its signature first. Raises PT413 payload_too_large and 22023 invalid_argument for null.';

revoke all on function public.process_stripe_event(json, boolean) from public, anon, authenticated, service_role;
grant execute on function public.process_stripe_event(json, boolean) to service_role;
