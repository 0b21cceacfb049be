-- A refusal is a word, a JSON object with what the caller sent or owns, and a sentence; it never names another
-- user or a figure of theirs. Whether somebody exists cannot be told from the answer.

begin;
select plan(9);

insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
select public.add_credits_for('bea00000-0000-4000-8000-000000000000', 7000, 'purchase', null, 'Secret', '{"secret": 7000}', 'order-7000');

-- what a refused statement tells its caller
create function pg_temp.refusal(statement text)
  returns jsonb
  language plpgsql
as $$
declare
  v_detail text;
  v_hint text;
begin
  execute statement;
  return null;
exception
  when others then
    get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint;
    return jsonb_build_object('code', sqlstate, 'message', sqlerrm, 'detail', nullif(v_detail, '')::jsonb, 'hint', v_hint);
end;
$$;

create temp table calls (role text, statement text);
insert into calls
values
  ('authenticated', 'select public.consume_credit(100)'),
  ('authenticated', 'select public.consume_credit(null)'),
  ('authenticated', 'select public.consume_credit(-1)'),
  ('authenticated', $$ select public.consume_credit(1, null, '[]') $$),
  ('authenticated', $$ select public.consume_credit(1, null, '{"a": 1e400}') $$),
  ('authenticated', $$ select public.consume_credit(1, null, '{}', '') $$),
  ('authenticated', $$ select public.consume_credit(1, null, '{}', 'credits:signup_bonus') $$),
  ('authenticated', $$ select public.consume_credit(2, null, '{}', 'order-1') $$),
  ('authenticated', $$ select public.consume_credit(1, repeat('d', 501)) $$),
  ('authenticated', 'select * from public.get_transaction_history(0)'),
  ('authenticated', 'select public.get_usage(null)'),
  ('service_role', 'select public.consume_credit_for(%1$L, 100)'),
  ('service_role', 'select public.consume_credit_for(%1$L, 0)'),
  ('service_role', 'select public.consume_credit_for(null)'),
  ('service_role', $$ select public.consume_credit_for(%1$L, 2, null, '{}', 'order-1') $$),
  ('service_role', $$ select public.add_credits_for(%1$L, 1, 'refund') $$),
  ('service_role', $$ select public.add_credits_for(%1$L, 1, 'bonus', now()) $$),
  ('service_role', 'select public.add_credits_for(null, 1)'),
  ('service_role', 'select public.add_credits_for(%2$L, 1)'),
  ('service_role', 'select public.get_user_credits_for(%2$L)'),
  ('service_role', 'select public.get_balance_at_for(%1$L, null)'),
  ('service_role', 'select public.delete_user_account_for(null)'),
  ('service_role', $$ insert into public.credit_transactions (user_id, type, amount) values (%1$L, 'consumption', -100) $$),
  ('service_role', $$ insert into public.credit_transactions (user_id, type, amount) values (%1$L, 'bonus', -1) $$),
  ('service_role', $$ insert into public.credit_transactions (user_id, type, amount) values (%1$L, null, 1) $$),
  ('owner', 'delete from public.credit_transactions'),
  ('owner', 'delete from public.user_credits'),
  ('owner', $$ select credits_private.set_setting('no_such_setting', '1') $$),
  ('owner', $$ select credits_private.set_setting('signup_bonus', '-1') $$);
-- Ada, and a user who does not exist
update calls
set statement = format(statement, 'ada00000-0000-4000-8000-000000000000', 'fae00000-0000-4000-8000-000000000000');
create temp table refusals (statement text, refusal jsonb);
grant select on calls to public;
grant insert on refusals to public;

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select public.consume_credit(1, null, '{}', 'order-1');
insert into refusals select statement, pg_temp.refusal(statement) from calls where role = 'authenticated';
reset role;
set local role service_role;
insert into refusals select statement, pg_temp.refusal(statement) from calls where role = 'service_role';
reset role;
insert into refusals select statement, pg_temp.refusal(statement) from calls where role = 'owner';

select is_empty('select statement from refusals where refusal is null', 'Each of these is refused.');
select is_empty(
  $$ select * from refusals where refusal ->> 'code' !~ '^(PT40[1-4]|PT422|22023)$' or refusal ->> 'message' !~ '^[a-z_]+$' $$,
  'Each refusal has a code and one word.'
);
select is_empty(
  $$ select * from refusals where coalesce(refusal ->> 'hint', '') !~ '^[A-Za-z].*[.]$' $$,
  'Each has a sentence for people.'
);
select is_empty(
  $$ select * from refusals where jsonb_typeof(refusal -> 'detail') not in ('object', 'null') $$,
  'What is told in detail is a JSON object.'
);
select is_empty(
  $$ select * from refusals where refusal::text ~* '[0-9a-f]{8}-[0-9a-f]{4}-' $$,
  'No refusal contains the id of a user.'
);
select is_empty(
  $$ select * from refusals where refusal::text ~* 'bea|example\.com|700[03]|secret' $$,
  'No refusal contains anything of Bea.'
);

-- who exists and who does not
set local role service_role;
select is(
  pg_temp.refusal($$ select public.consume_credit_for('fae00000-0000-4000-8000-000000000000') $$),
  pg_temp.refusal($$ select public.get_user_credits_for('cab00000-0000-4000-8000-000000000000') $$),
  'Unknown users are refused alike, whoever they are and whatever is asked.'
);
reset role;
set local role authenticated;
select is(
  pg_temp.refusal($$ select public.consume_credit_for('bea00000-0000-4000-8000-000000000000') $$),
  pg_temp.refusal($$ select public.consume_credit_for('fae00000-0000-4000-8000-000000000000') $$),
  'A user who tries to spend for another gets one answer, whether the other exists or not.'
);
select is(
  (select count(*) from public.get_operation('order-7000')),
  (select count(*) from public.get_operation('order-7001')),
  'The key of another user looks like one that nobody has used.'
);

select * from finish();
rollback;
