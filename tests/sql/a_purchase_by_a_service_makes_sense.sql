-- record_purchase_for refuses arguments that make no sense before it does anything, and takes the same purchase again as it is.

begin;
select plan(24);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);

select throws_ok(
  format(
    'select public.record_purchase_for(%L, %L, %L, %L, %L, %L, %L, %L, %L)', 'ada00000-0000-4000-8000-000000000000', a.store, a.transaction_id,
    a.product_id, a.price, a.currency, a.environment, a.payload, a.quantity
  ),
  '22023', 'invalid_argument', format('%s makes no sense.', a.what)
)
from (
  values
    ('No store', null, '1', 'pack', null::bigint, null, 'PRODUCTION', '{}', 1),
    ('Any store', 'any', '1', 'pack', null, null, 'PRODUCTION', '{}', 1),
    ('A store of two words', 'app store', '1', 'pack', null, null, 'PRODUCTION', '{}', 1),
    ('No transaction', 'own', null, 'pack', null, null, 'PRODUCTION', '{}', 1),
    ('An empty transaction', 'own', '', 'pack', null, null, 'PRODUCTION', '{}', 1),
    ('A transaction of 256 characters', 'own', repeat('x', 256), 'pack', null, null, 'PRODUCTION', '{}', 1),
    ('No product', 'own', '1', null, null, null, 'PRODUCTION', '{}', 1),
    ('A negative price', 'own', '1', 'pack', -1, 'EUR', 'PRODUCTION', '{}', 1),
    ('A price without a currency', 'own', '1', 'pack', 1, null, 'PRODUCTION', '{}', 1),
    ('A currency without a price', 'own', '1', 'pack', null, 'EUR', 'PRODUCTION', '{}', 1),
    ('A currency of four letters', 'own', '1', 'pack', 1, 'EURO', 'PRODUCTION', '{}', 1),
    ('An unknown environment', 'own', '1', 'pack', null, null, 'STAGING', '{}', 1),
    ('No environment', 'own', '1', 'pack', null, null, null, '{}', 1),
    ('A payload that is an array', 'own', '1', 'pack', null, null, 'PRODUCTION', '[]', 1),
    ('A payload of 64 kB', 'own', '1', 'pack', null, null, 'PRODUCTION', format('{"a": "%s"}', repeat('x', 65536)), 1),
    ('A quantity of nothing', 'own', '1', 'pack', null, null, 'PRODUCTION', '{}', 0),
    ('A million of it', 'own', '1', 'pack', null, null, 'PRODUCTION', '{}', 1000000)
) as a (what, store, transaction_id, product_id, price, currency, environment, payload, quantity);
select throws_ok(
  $$ select public.record_purchase_for(null, 'own', '1', 'pack') $$, 'PT401', 'not_authenticated', 'Nobody buys nothing.'
);
select throws_ok(
  $$ select public.record_purchase_for('bea00000-0000-4000-8000-000000000000', 'own', '1', 'pack') $$, 'PT404', 'account_not_found',
  'A user who is not there buys nothing.'
);
select is_empty('select from credits_private.purchase_claims', 'None of these has claimed anything.');
select lives_ok(
  format('select public.record_purchase_for(%L, %L, %L, %L)', 'ada00000-0000-4000-8000-000000000000', 'own', repeat('t', 255), 'pack'),
  'A transaction of 255 characters is one.'
);
select is_empty(
  'select from public.credit_transactions where length(idempotency_key) > 255', 'Its key is not longer than a key may be.'
);

-- ids that hold what separates them
select credits_private.set_product('any', 'pack:pack', 100, 0, 0, null, null, null, null, null, null);
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'own', 'a:pack', 'pack');
select lives_ok(
  $$ select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'own', 'a', 'pack:pack') $$,
  'A colon in an id makes no two purchases one.'
);
select is((select credits_remaining from public.user_credits), 300::bigint, 'Three purchases are credited.');

select * from finish();
rollback;
