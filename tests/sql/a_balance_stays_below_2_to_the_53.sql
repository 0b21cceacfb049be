-- A balance stays where JSON numbers are exact, between -(2^53 - 1) and 2^53 - 1, however it is moved;
-- what would leave that range is refused with PT422, before Postgres has to say something.

begin;
select plan(12);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
update public.user_credits set total_credits = 9007199254740989, credits_remaining = 9007199254740989;

-- what a refused statement tells its caller
create function pg_temp.refusal(statement text)
  returns jsonb
  language plpgsql
as $$
declare
  v_detail text;
begin
  execute statement;
  return null;
exception
  when others then
    get stacked diagnostics v_detail = pg_exception_detail;
    return v_detail::jsonb;
end;
$$;

set local role service_role;
select throws_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 3) $$,
  'PT422', 'balance_limit',
  '2^53 credits are refused.'
);
select throws_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 1000000000000) $$,
  'PT422', 'balance_limit',
  'Far more are refused alike.'
);
select throws_ok(
  $$
    insert into public.credit_transactions (user_id, type, amount)
    values ('ada00000-0000-4000-8000-000000000000', 'purchase', 3)
  $$,
  'PT422', 'balance_limit',
  'A row inserted into the ledger is refused too.'
);
select is(
  pg_temp.refusal($$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 3) $$),
  '{"amount": 3, "credits_remaining": 9007199254740989}',
  'The detail holds the figures.'
);
select lives_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 2, 'bonus', null, null, '{}', 'gift-1') $$,
  '2^53 - 1 credits are accepted.'
);
select throws_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 1) $$,
  'PT422', 'balance_limit',
  'There one more is refused.'
);
select results_eq(
  $$
    select amount, balance_after
    from public.add_credits_for('ada00000-0000-4000-8000-000000000000', 2, 'bonus', null, null, '{}', 'gift-1')
  $$,
  'values (2::bigint, 9007199254740991::bigint)',
  'A replay is answered at the limit as anywhere.'
);
select lives_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1) $$,
  'At the limit credits can be spent.'
);

reset role;
update public.user_credits set total_credits = -9007199254740990, credits_remaining = -9007199254740990, used_credits = 0;
set local role service_role;
select lives_ok(
  $$
    insert into public.credit_transactions (user_id, type, amount)
    values ('ada00000-0000-4000-8000-000000000000', 'admin_adjustment', -1)
  $$,
  'A debt of 2^53 - 1 credits is accepted.'
);
select throws_ok(
  $$
    insert into public.credit_transactions (user_id, type, amount)
    values ('ada00000-0000-4000-8000-000000000000', 'admin_adjustment', -1)
  $$,
  'PT422', 'balance_limit',
  'A larger debt is refused.'
);
select throws_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1) $$,
  'PT402', 'insufficient_credits',
  'In debt nothing can be spent.'
);

reset role;
select is(
  (select credits_remaining from public.user_credits), -9007199254740991,
  'The balance is where the last accepted row left it.'
);

select * from finish();
rollback;
