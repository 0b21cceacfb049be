-- Everybody sees what is on sale, also visitors, and nobody writes it but the owner through set_product, which refuses what makes
-- no sense. Services see all products.

begin;
select plan(36);

select credits_private.set_product('any', 'now', 1, 0, 0, null, null, null, null, null, null);
select credits_private.set_product('any', 'ended', 1, 0, 0, null, null, null, null, null, now());
select credits_private.set_product('any', 'ahead', 1, 0, 0, null, null, null, null, now() + interval '1 hour', null);
select credits_private.set_product('any', 'season', 1, 0, 0, null, null, null, null, now(), now() + interval '1 hour');

create temp table attempts (statement text);
insert into attempts
values
  ($$ insert into public.credit_products (product_id, credits) values ('mine', 1000) $$),
  ($$ update public.credit_products set credits = 1000 $$),
  ($$ delete from public.credit_products $$),
  ($$ truncate public.credit_products $$);
grant select on attempts to anon, authenticated, service_role;

set local role anon;
select results_eq('select product_id from public.credit_products order by 1', $$ values ('now'), ('season') $$, 'Visitors see what is on sale.');
select throws_ok(statement, '42501', null, format('A visitor cannot%s.', statement)) from attempts;
reset role;
set local role authenticated;
select results_eq('select product_id from public.credit_products order by 1', $$ values ('now'), ('season') $$, 'So do users.');
select throws_ok(statement, '42501', null, format('A user cannot%s.', statement)) from attempts;
reset role;
set local role service_role;
select is((select count(*) from public.credit_products), 4::bigint, 'Services see all.');
select throws_ok(statement, '42501', null, format('A service cannot%s.', statement)) from attempts;
reset role;

create temp table before as select * from public.credit_products;
select throws_ok(
  format(
    'select credits_private.set_product(%L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L)', a.store, a.product_id, a.credits, a.bonus, a.trial,
    a.price, a.currency, a.entitlement, a.expires, a.active_from, a.active_to
  ),
  '22023', 'invalid_argument', format('%s is refused.', a.what)
)
from (
  values
    ('Any store in capitals', 'Any', 'p', 1, 0, 0, null::bigint, null, null, null, null::text, null::text),
    ('No store', null, 'p', 1, 0, 0, null, null, null, null, null, null),
    ('An empty name', 'any', '', 1, 0, 0, null, null, null, null, null, null),
    ('A name of 256 characters', 'any', repeat('p', 256), 1, 0, 0, null, null, null, null, null, null),
    ('Less than no credits', 'any', 'p', -1, 0, 0, null, null, null, null, null, null),
    ('A negative bonus', 'any', 'p', 1, -1, 0, null, null, null, null, null, null),
    ('A negative trial', 'any', 'p', 1, 0, -1, null, null, null, null, null, null),
    ('A negative price', 'any', 'p', 1, 0, 0, -1, 'EUR', null, null, null, null),
    ('A price without a currency', 'any', 'p', 1, 0, 0, 100, null, null, null, null, null),
    ('A currency without a price', 'any', 'p', 1, 0, 0, null, 'EUR', null, null, null, null),
    ('A currency in small letters', 'any', 'p', 1, 0, 0, 100, 'eur', null, null, null, null),
    ('An empty entitlement', 'any', 'p', 1, 0, 0, null, null, '', null, null, null),
    ('An expiry of no time', 'any', 'p', 1, 0, 0, null, null, null, '59 min', null, null),
    ('An expiry before the purchase', 'any', 'p', 1, 0, 0, null, null, null, '-1 month', null, null),
    ('An expiry that nobody lives to see', 'any', 'p', 1, 0, 0, null, null, null, '101 years', null, null),
    ('A sale that ends before it begins', 'any', 'p', 1, 0, 0, null, null, null, null, '2030-01-02', '2030-01-01')
) as a (what, store, product_id, credits, bonus, trial, price, currency, entitlement, expires, active_from, active_to);
select throws_ok(
  $$ select credits_private.set_product('app_store', 'p', 1, 0, 0, null, null, null, '1 month', null, null) $$,
  'PT422', 'expiry_not_allowed', 'What the App Store sells may not expire.'
);
select results_eq('select * from public.credit_products order by 1, 2', 'select * from before order by 1, 2', 'None of these has changed a product.');
select throws_ok(
  $$ insert into public.credit_products (product_id, credits) values ('p', -1) $$, '23514', null, 'The table keeps its bounds too.'
);
select throws_ok(
  $$ insert into public.credit_products (product_id, credits, price_cents) values ('p', 1, 100) $$, '23514', null, 'So it does with prices.'
);
select results_eq(
  $$ select credits, price_cents, currency from credits_private.set_product('any', 'now', 7, 0, 0, 100, 'EUR', null, null, null, null) $$,
  $$ values (7::bigint, 100::bigint, 'EUR') $$,
  'Set again a product is given anew as a whole.'
);

select * from finish();
rollback;
