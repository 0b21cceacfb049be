-- Tables and helpers in credits_private are out of reach of every role that a request can have, although
-- users may pass through the schema to the bodies of their calls.

begin;
select plan(33);

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
  (11, 'create table credits_private.mine (id integer)', 'create a table');
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
