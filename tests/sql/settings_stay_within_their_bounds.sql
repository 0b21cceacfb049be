-- A setting has a type and bounds. set_setting refuses what does not fit, and so does the table itself.

begin;
select plan(40);

create temp table before as select * from credits_private.settings;
select is(
  (select jsonb_object_agg(name, value) from before),
  '{
    "signup_bonus": "3",
    "user_spending": "on",
    "notify_changes": "off",
    "sandbox": "deny",
    "max_active_holds": "100",
    "sandbox_users": "",
    "webhook_tolerance": "300",
    "revenuecat_signature_header": "x-revenuecat-webhook-signature"
  }',
  'These are the settings, as they come.'
);

select throws_ok(
  format('select credits_private.set_setting(%L, %L)', name, value), '22023', 'invalid_argument',
  format('%s cannot be %s.', coalesce(name, 'null'), coalesce(quote_literal(value), 'null'))
)
from (
  values
    ('signup_bonus', '-1'),
    ('signup_bonus', '1000001'),
    ('signup_bonus', '99999999999999999999999999'),
    ('signup_bonus', '1.5'),
    ('signup_bonus', '1e3'),
    ('signup_bonus', ' 3'),
    ('signup_bonus', ''),
    ('signup_bonus', 'three'),
    ('signup_bonus', 'on'),
    ('signup_bonus', null),
    ('user_spending', 'ON'),
    ('user_spending', 'true'),
    ('user_spending', '1'),
    ('user_spending', ''),
    ('user_spending', null),
    ('notify_changes', 'true'),
    ('notify_changes', null),
    ('sandbox', 'Deny'),
    ('sandbox', ''),
    ('sandbox', null),
    ('sandbox_users', 'ada'),
    ('sandbox_users', 'ADA00000-0000-4000-8000-000000000000'),
    ('sandbox_users', 'ada00000-0000-4000-8000-000000000000 '),
    ('webhook_tolerance', '0'),
    ('webhook_tolerance', '86401'),
    ('revenuecat_signature_header', ''),
    ('revenuecat_signature_header', 'X-RevenueCat-Signature'),
    ('revenuecat_signature_header', 'x header'),
    ('no_such_setting', 'on'),
    ('SIGNUP_BONUS', '3'),
    (null, '3')
) as attempts (name, value);
select results_eq(
  'select * from credits_private.settings order by name', 'select * from before order by name',
  'None of these has changed a setting.'
);

select throws_ok(
  $$ update credits_private.settings set value = '1000001' where name = 'signup_bonus' $$, '23514', null,
  'The table refuses a number out of bounds too.'
);
select throws_ok(
  $$ update credits_private.settings set value = 'perhaps' where name = 'user_spending' $$, '23514', null,
  'The table refuses a switch that is neither on nor off too.'
);

select throws_ok(
  $$ update credits_private.settings set value = 'perhaps' where name = 'sandbox' $$, '23514', null,
  'The table refuses a text that does not match too.'
);
select results_eq(
  $$
    select name, value
    from credits_private.set_setting(
      'sandbox_users', 'ada00000-0000-4000-8000-000000000000,bea00000-0000-4000-8000-000000000000'
    )
  $$,
  $$ values ('sandbox_users', 'ada00000-0000-4000-8000-000000000000,bea00000-0000-4000-8000-000000000000') $$,
  'A list of users is accepted.'
);
select results_eq(
  $$ select name, value from credits_private.set_setting('signup_bonus', '1000000') $$,
  $$ values ('signup_bonus', '1000000') $$,
  'The largest number is accepted, and the answer is the setting.'
);
select lives_ok(
  $$ select credits_private.set_setting('signup_bonus', '0') $$,
  'The smallest number is accepted.'
);
select is(
  (select value from credits_private.settings where name = 'signup_bonus'), '0',
  'It is what is stored now.'
);

select * from finish();
rollback;
