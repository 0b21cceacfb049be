-- The setting user_spending takes consume_credit from users, for apps in which only the server may name a
-- price, and gives it back. It is a privilege: nothing has to remember to look.

begin;
select plan(16);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);

set local role authenticated;
select lives_ok('select public.consume_credit()', 'Users may spend unless somebody says otherwise.');

reset role;
select results_eq(
  $$ select name, value from credits_private.set_setting('user_spending', 'off') $$,
  $$ values ('user_spending', 'off') $$,
  'An operator switches it off.'
);
select ok(
  not has_function_privilege('authenticated', 'public.consume_credit(bigint, text, jsonb, text)', 'EXECUTE'),
  'The privilege on the call is gone.'
);
select ok(
  not has_function_privilege('authenticated', 'credits_private.consume_credit(bigint, text, jsonb, text)', 'EXECUTE'),
  'The privilege on its body is gone.'
);
set local role authenticated;
select throws_ok('select public.consume_credit()', '42501', null, 'Users may not spend.');
select throws_ok(
  $$ select credits_private.consume_credit(1, null, '{}', null) $$, '42501', null,
  'Nor may they reach the body behind it.'
);
select lives_ok('select public.get_user_credits()', 'They may still ask for their balance.');
select lives_ok('select * from public.get_transaction_history()', 'They may still ask for their history.');

reset role;
set local role service_role;
select lives_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000') $$,
  'A service spends for them.'
);

reset role;
select lives_ok(
  $$ select credits_private.set_setting('user_spending', 'off') $$,
  'Switching off twice is no error.'
);
select lives_ok(
  $$ select credits_private.set_setting('user_spending', 'on') $$,
  'An operator switches it on again.'
);
select lives_ok(
  $$ select credits_private.set_setting('user_spending', 'on') $$,
  'Switching on twice is no error.'
);
set local role authenticated;
select lives_ok('select public.consume_credit()', 'Users may spend again.');

reset role;
set local role anon;
select throws_ok('select public.consume_credit()', '42501', null, 'Visitors may not, before and after.');
reset role;
set local role service_role;
select throws_ok('select public.consume_credit()', '42501', null, 'Services may not either: they have a call of their own.');

reset role;
select is((select credits_remaining from public.user_credits), 0::bigint, 'Three spends were made.');

select * from finish();
rollback;
