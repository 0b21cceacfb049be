-- Anybody may call the webhooks; the signature decides. Without a secret nobody comes in. RevenueCat has to bring every proof that
-- was set up. Who is refused learns nothing and leaves nothing; who is let in is answered whatever came of it.

begin;
select plan(24);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);

create temp table bodies (name text, body text);
insert into bodies
values
  ('stripe', E'{ "id": "evt_1",\n "type": "checkout.session.completed", "livemode": true, "data": {"object": {"id": "cs_1", "mode": "payment",
    "payment_status": "paid", "client_reference_id": "ada00000-0000-4000-8000-000000000000", "metadata": {"product_id": "pack"}}}}'),
  ('revenuecat', E'{"event": {"id": "rc_1",  "type": "NON_RENEWING_PURCHASE", "app_user_id": "ada00000-0000-4000-8000-000000000000",
    "store": "APP_STORE", "environment": "PRODUCTION", "transaction_id": "1", "product_id": "pack"}}');
create function pg_temp.header(secret text, body text, at bigint default extract(epoch from clock_timestamp())::bigint)
  returns text
  language sql
  security definer
as $$
  select format(
    't=%s,v1=%s', at,
    encode(credits_private.hmac_sha256(convert_to(secret, 'UTF8'), convert_to(at || '.' || body, 'UTF8')), 'hex')
  )
$$;
create function pg_temp.knock(door text, body text, headers jsonb)
  returns text
  language plpgsql
as $$
declare
  v_answer jsonb;
begin
  perform set_config('request.headers', headers::text, true);
  execute format('select public.%I(%L)', door || '_webhook', body) into v_answer;
  return concat_ws(' ', v_answer ->> 'event_id', v_answer ->> 'state', v_answer ->> 'reason');
exception
  when others then
    return concat_ws(' ', sqlstate, sqlerrm);
end;
$$;
create function pg_temp.stripe(headers jsonb)
  returns text
  language sql
as $$
  select pg_temp.knock('stripe', b.body, headers) from bodies as b where b.name = 'stripe'
$$;
create function pg_temp.revenuecat(headers jsonb)
  returns text
  language sql
as $$
  select pg_temp.knock('revenuecat', b.body, headers) from bodies as b where b.name = 'revenuecat'
$$;
create temp view signed as
select
  jsonb_build_object('stripe-signature', pg_temp.header('whsec_0123456789abcd', s.body)) as stripe,
  jsonb_build_object('x-revenuecat-webhook-signature', pg_temp.header('rc-signing-0123456789', r.body)) as revenuecat,
  jsonb_build_object('authorization', 'Bearer static-0123456789') as known
from bodies as s, bodies as r
where s.name = 'stripe' and r.name = 'revenuecat';
grant select on bodies, signed to anon, authenticated, service_role;

set local role anon;
select is(pg_temp.stripe((select stripe from signed)), 'PT401 invalid_signature', 'Without a secret Stripe does not come in.');
select is(pg_temp.revenuecat((select revenuecat || known from signed)), 'PT401 invalid_signature', 'Nor does RevenueCat.');
reset role;
select credits_private.set_secret('stripe', 'whsec_0123456789abcd', '0');
set local role anon;
select is(pg_temp.stripe('{}'), 'PT401 invalid_signature', 'A call without a signature is refused.');
select is(pg_temp.knock('stripe', '{}', (select stripe from signed)), 'PT401 invalid_signature', 'So is the signature of another body.');
select is(
  pg_temp.stripe(jsonb_build_object('stripe-signature', pg_temp.header('whsec_0123456789abce', (select body from bodies where name = 'stripe')))),
  'PT401 invalid_signature', 'So is one that was made with another secret.'
);
select is(
  pg_temp.stripe(jsonb_build_object('stripe-signature', pg_temp.header('whsec_0123456789abcd', (select body from bodies where name = 'stripe'), 1))),
  'PT401 invalid_signature', 'So is one of long ago.'
);
select is(pg_temp.knock('stripe', null, (select stripe from signed)), '22023 invalid_argument', 'No body is no call.');
select is(
  pg_temp.knock('stripe', format('{"a": "%s"}', repeat('x', 1048576)), (select stripe from signed)), 'PT413 payload_too_large',
  'Too much is refused before any work.'
);
reset role;
select is((select count(*) from credits_private.store_events), 0::bigint, 'Who was refused has left nothing.');
set local role anon;
select is(pg_temp.stripe((select stripe from signed)), 'evt_1 processed', 'A signed call comes in.');
select is(pg_temp.stripe((select stripe from signed)), 'evt_1 processed', 'Again it is answered the same.');
select is(
  pg_temp.knock('stripe', '{"id": "evt_2"}', jsonb_build_object('stripe-signature', pg_temp.header('whsec_0123456789abcd', '{"id": "evt_2"}'))),
  'evt_2 failed wrong_shape', 'What is authentic is answered although it makes no sense.'
);
reset role;
select is((select credits_remaining from public.user_credits), 100::bigint, 'The purchase is credited once.');

-- RevenueCat has two proofs
select credits_private.set_secret('revenuecat_authorization', 'Bearer static-0123456789', '0');
set local role anon;
select is(pg_temp.revenuecat('{"authorization": "Bearer static-0123456780"}'), 'PT401 invalid_signature', 'A wrong header is refused.');
select is(pg_temp.revenuecat('{"authorization": "bearer static-0123456789"}'), 'PT401 invalid_signature', 'It is compared to the letter.');
select is(pg_temp.revenuecat((select known from signed)), 'rc_1 processed', 'The static header alone is enough where it is all that was set up.');
reset role;
select credits_private.set_secret('revenuecat', 'rc-signing-0123456789', '0');
set local role anon;
select is(pg_temp.revenuecat((select known from signed)), 'PT401 invalid_signature', 'It is not any more where there is a signing secret too.');
select is(pg_temp.revenuecat((select revenuecat from signed)), 'PT401 invalid_signature', 'Nor is the signature alone.');
select is(pg_temp.revenuecat((select revenuecat || known from signed)), 'rc_1 processed', 'Both together come in.');
reset role;
select credits_private.set_setting('revenuecat_signature_header', 'x-revenuecat-signature');
set local role anon;
select is(pg_temp.revenuecat((select revenuecat || known from signed)), 'PT401 invalid_signature', 'The header has the name that is set.');
select is(
  pg_temp.revenuecat((select known || jsonb_build_object('x-revenuecat-signature', revenuecat -> 'x-revenuecat-webhook-signature') from signed)),
  'rc_1 processed', 'Under that name it counts.'
);

-- who else may knock
reset role;
set local role authenticated;
select is(pg_temp.stripe((select stripe from signed)), '42501 permission denied for function stripe_webhook', 'Users do not call webhooks.');
reset role;
set local role service_role;
select is(pg_temp.stripe((select stripe from signed)), '42501 permission denied for function stripe_webhook', 'Services have a call of their own.');
reset role;
select is((select credits_remaining from public.user_credits), 200::bigint, 'Two purchases were credited.');

select * from finish();
rollback;
