-- HMAC-SHA256 in SQL gives what RFC 4231 says. A header is believed if one of its v1 signatures fits body, time and a valid
-- secret, and its time is near our own, either way; v0 and anything malformed count for nothing.

begin;
select plan(47);

create or replace function credits_private.now()
  returns timestamptz
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  return to_timestamp(coalesce(nullif(current_setting('test.now', true), ''), '1800000000')::bigint);
end;
$$;

-- RFC 4231, section 4
select is(
  left(encode(credits_private.hmac_sha256(decode(key, 'hex'), decode(message, 'hex')), 'hex'), length(digest)), digest,
  format('HMAC-SHA256 is right in case %s.', number)
)
from (
  values
    (1, repeat('0b', 20), encode('Hi There', 'hex'), 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'),
    (2, encode('Jefe', 'hex'), encode('what do ya want for nothing?', 'hex'), '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'),
    (3, repeat('aa', 20), repeat('dd', 50), '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe'),
    (4, '0102030405060708090a0b0c0d0e0f10111213141516171819', repeat('cd', 50), '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b'),
    (5, repeat('0c', 20), encode('Test With Truncation', 'hex'), 'a3b6167473100ee06e0c796c2955552b'),
    (6, repeat('aa', 131), encode('Test Using Larger Than Block-Size Key - Hash Key First', 'hex'), '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54'),
    (7, repeat('aa', 131), encode('This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.', 'hex'), '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2')
) as vectors (number, key, message, digest);

select is(
  credits_private.secrets_match(given, expected), given = expected and given is not null and expected is not null,
  format('%s and %s are %s.', coalesce(quote_literal(given), 'null'), coalesce(quote_literal(expected), 'null'), what)
)
from (
  values
    ('secret', 'secret', 'equal'), ('secret', 'Secret', 'not'), ('secret', 'secret ', 'not'), ('', '', 'equal'), ('s', '', 'not'),
    (null, 'secret', 'not'), ('secret', null, 'not'), (null, null, 'not'), ('é', E'e\u0301', 'not')
) as pairs (given, expected, what);

select credits_private.set_secret('stripe', 'whsec_first_0123456789', '0');
create function pg_temp.sign(body text, at bigint, secret text default 'whsec_first_0123456789')
  returns text
  language sql
as $$
  select encode(credits_private.hmac_sha256(convert_to(secret, 'UTF8'), convert_to(at || '.' || body, 'UTF8')), 'hex')
$$;
create temp table headers (place serial, what text, header text, counts boolean);
insert into headers (what, header, counts)
values
  ('A signature of now is believed.', 't=1800000000,v1=' || pg_temp.sign('{}', 1800000000), true),
  ('Spaces between the parts do no harm.', ' t=1800000000 , v1=' || pg_temp.sign('{}', 1800000000), true),
  ('It may be 300 seconds old.', 't=1799999700,v1=' || pg_temp.sign('{}', 1799999700), true),
  ('It may not be 301 seconds old.', 't=1799999699,v1=' || pg_temp.sign('{}', 1799999699), false),
  ('It may be 300 seconds ahead.', 't=1800000300,v1=' || pg_temp.sign('{}', 1800000300), true),
  ('It may not be 301 seconds ahead.', 't=1800000301,v1=' || pg_temp.sign('{}', 1800000301), false),
  ('The signature of another time does not count.', 't=1800000000,v1=' || pg_temp.sign('{}', 1800000001), false),
  ('The signature of another body does not count.', 't=1800000000,v1=' || pg_temp.sign('{} ', 1800000000), false),
  ('The signature of another secret does not count.', 't=1800000000,v1=' || pg_temp.sign('{}', 1800000000, 'whsec_other_0123456789'), false),
  ('One of several is enough.', 't=1800000000,v1=00,v1=' || pg_temp.sign('{}', 1800000000) || ',v1=ff', true),
  ('v0 counts for nothing.', 't=1800000000,v0=' || pg_temp.sign('{}', 1800000000), false),
  ('v0 beside it does no harm.', 't=1800000000,v0=00,v1=' || pg_temp.sign('{}', 1800000000), true),
  ('v10 is not v1.', 't=1800000000,v10=' || pg_temp.sign('{}', 1800000000), false),
  ('The beginning of a signature does not count.', 't=1800000000,v1=' || left(pg_temp.sign('{}', 1800000000), 63), false),
  ('An empty signature does not count.', 't=1800000000,v1=', false),
  ('No signature does not count.', 't=1800000000', false),
  ('No time does not count.', 'v1=' || pg_temp.sign('{}', 1800000000), false),
  ('An empty time does not count.', 't=,v1=' || pg_temp.sign('{}', 1800000000), false),
  ('A time that is no number does not count.', 't=now,v1=' || pg_temp.sign('{}', 1800000000), false),
  ('A time beyond all numbers does not count.', 't=99999999999999999999,v1=' || pg_temp.sign('{}', 1800000000), false),
  ('A negative time does not count.', 't=-1800000000,v1=' || pg_temp.sign('{}', 1800000000), false),
  ('An empty header does not count.', '', false),
  ('A missing header does not count.', null, false),
  ('Of two times the first counts, whoever adds one.', 't=1800000001,t=1800000000,v1=' || pg_temp.sign('{}', 1800000000), false);
select is(credits_private.is_signed('stripe', header, '{}'), counts, what) from headers order by place;

select is(
  credits_private.is_signed('revenuecat', 't=1800000000,v1=' || pg_temp.sign('{}', 1800000000), '{}'), false,
  'A secret of Stripe''s proves nothing about RevenueCat.'
);
select credits_private.set_setting('webhook_tolerance', '10');
select is(
  credits_private.is_signed('stripe', 't=1799999989,v1=' || pg_temp.sign('{}', 1799999989), '{}'), false,
  'The tolerance is a setting.'
);
select is(
  credits_private.is_signed('stripe', 't=1800000000,v1=' || pg_temp.sign('{"n": "é🪙"}', 1800000000), '{"n": "é🪙"}'), true,
  'Any character may be signed.'
);
select credits_private.set_setting('webhook_tolerance', '300');

-- a secret that is rolled
select credits_private.set_secret('stripe', 'whsec_second_0123456789', '1 hour');
select set_config('test.now', '1800003599', true);
select is(
  credits_private.is_signed('stripe', 't=1800003599,v1=' || pg_temp.sign('{}', 1800003599), '{}'), true,
  'The old secret counts within the overlap.'
);
select is(
  credits_private.is_signed('stripe', 't=1800003599,v1=' || pg_temp.sign('{}', 1800003599, 'whsec_second_0123456789'), '{}'), true,
  'So does the new one.'
);
select set_config('test.now', '1800003600', true);
select is(
  credits_private.is_signed('stripe', 't=1800003600,v1=' || pg_temp.sign('{}', 1800003600), '{}'), false,
  'After it the old one counts no more.'
);
select is(
  credits_private.is_signed('stripe', 't=1800003600,v1=' || pg_temp.sign('{}', 1800003600, 'whsec_second_0123456789'), '{}'), true,
  'The new one goes on.'
);

select * from finish();
rollback;
