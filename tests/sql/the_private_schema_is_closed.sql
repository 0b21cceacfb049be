-- Tables and helpers in credits_private are out of reach of every role that a request can have, although
-- users may pass through the schema to the bodies of their calls.

begin;
select plan(75);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

create temp table attempts (place integer, statement text, what text);
insert into attempts
values
  (1, 'select * from credits_private.settings', 'read settings'),
  (2, $$ update credits_private.settings set value = '1000' where name = 'signup_bonus' $$, 'write settings'),
  (3, $$ select credits_private.set_setting('signup_bonus', '1000') $$, 'change a setting'),
  (4, $$ select credits_private.spend('ada00000-0000-4000-8000-000000000000', 1, null, '{}', null) $$, 'spend for whom they like'),
  (5, $$ select credits_private.add_credits('ada00000-0000-4000-8000-000000000000', 1, 'bonus', null, null, '{}', null) $$, 'add credits'),
  (6, $$ select credits_private.post('ada00000-0000-4000-8000-000000000000', 'bonus', 1, null, '{}', null) $$, 'post to the ledger'),
  (7, $$ select credits_private.move_balance('ada00000-0000-4000-8000-000000000000', 'bonus', 1) $$, 'move a balance'),
  (8, $$ select credits_private.open_account('ada00000-0000-4000-8000-000000000000') $$, 'open an account'),
  (9, $$ select credits_private.erase_account('ada00000-0000-4000-8000-000000000000') $$, 'erase an account'),
  (10, $$ select credits_private.read_account('ada00000-0000-4000-8000-000000000000') $$, 'read an account'),
  (11, 'create table credits_private.mine (id integer)', 'create a table'),
  (12, 'select * from credits_private.secrets', 'read secrets'),
  (13, 'select * from credits_private.store_events', 'read the inbox'),
  (14, 'select * from credits_private.store_customers', 'read whose names are whose'),
  (15, 'select * from credits_private.purchase_claims', 'read claims'),
  (16, 'select * from credits_private.purchase_facts', 'read what stores said'),
  (17, 'select * from credits_private.store_event_names', 'read what waits for whom'),
  (18, $$ select credits_private.set_secret('stripe', 'whsec_0123456789abcdef', '0') $$, 'set a secret'),
  (19, $$ select credits_private.secrets_of('stripe') $$, 'ask for secrets'),
  (20, $$ select credits_private.set_product('any', 'pack', 1, 0, 0, null, null, null, null, null, null) $$, 'sell what they like'),
  (21, $$ select credits_private.take_store_event('stripe', '{}', false) $$, 'put an event into the inbox'),
  (22, $$ select credits_private.record_purchase('ada00000-0000-4000-8000-000000000000', 'any', '1', 'pack', null, null, 'PRODUCTION', '{}', 1) $$, 'record a purchase'),
  (23, $$ select credits_private.refund_purchase('any', '1', '1', null, 'PRODUCTION') $$, 'refund a purchase'),
  (24, $$ select credits_private.grant_entitlement('ada00000-0000-4000-8000-000000000000', 'pro', null, 'manual') $$, 'grant an entitlement'),
  (25, $$ select credits_private.read_entitlement('ada00000-0000-4000-8000-000000000000', 'pro') $$, 'read an entitlement');
grant select on attempts to public;

set local role anon;
select throws_ok(statement, '42501', null, format('Visitors cannot %s.', what)) from attempts order by place;

reset role;
select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select throws_ok(statement, '42501', null, format('Users cannot %s.', what)) from attempts order by place;

reset role;
set local role service_role;
select throws_ok(statement, '42501', null, format('Services cannot %s.', what)) from attempts order by place;

select * from finish();
rollback;
