-- A description is a sentence for the history of a user, of at most 500 characters.

begin;
select plan(10);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 97);

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select throws_ok(
  format('select public.consume_credit(1, %L)', repeat('d', 501)), '22023', 'invalid_argument',
  '501 characters are refused.'
);
select throws_ok(
  format('select public.consume_credit(1, %L)', repeat('d', 1000000)), '22023', 'invalid_argument',
  'A million characters are refused.'
);
select is(
  (public.consume_credit(1, repeat('d', 500))).description, repeat('d', 500),
  '500 characters are accepted.'
);
select is(
  (public.consume_credit(1, repeat('ü', 500))).description, repeat('ü', 500),
  'Characters are counted, not bytes.'
);
select is((public.consume_credit(1, '')).description, '', 'An empty description is one.');
select is((public.consume_credit(1, null)).description, null, 'There need not be a description.');

reset role;
set local role service_role;
select throws_ok(
  format($$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1, %L) $$, repeat('d', 501)),
  '22023', 'invalid_argument',
  'A service that spends is refused 501 characters.'
);
select throws_ok(
  format($$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 1, description => %L) $$, repeat('d', 501)),
  '22023', 'invalid_argument',
  'A service that adds is refused 501 characters.'
);
select lives_ok(
  format($$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 4, description => %L) $$, repeat('d', 500)),
  'A service may use 500.'
);

reset role;
select is((select credits_remaining from public.user_credits), 100::bigint, 'What was refused has moved nothing.');

select * from finish();
rollback;
