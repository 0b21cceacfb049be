-- Whoever asks for more than is available gets PT402 with the figures, and nothing has happened.
-- Credits that are held are not available.

begin;
select plan(12);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

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
    return jsonb_build_object('code', sqlstate, 'message', sqlerrm, 'detail', v_detail::jsonb, 'hint', v_hint);
end;
$$;

create temp table before as select * from public.user_credits;

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;

select throws_ok('select public.consume_credit(4)', 'PT402', 'insufficient_credits', 'Four credits of three are refused.');
select is(
  pg_temp.refusal('select public.consume_credit(4)') -> 'detail',
  '{"amount": 4, "credits_available": 3, "credits_remaining": 3}',
  'The detail holds what was asked for and what is there, and no more.'
);
select is(
  pg_temp.refusal('select public.consume_credit(4)') ->> 'hint',
  'Add credits, or spend fewer.',
  'The hint is a sentence for people.'
);
select throws_ok(
  'select public.consume_credit(1000000000000)', 'PT402', 'insufficient_credits', 'The largest amount is refused alike.'
);

reset role;
select results_eq('select * from public.user_credits', 'select * from before', 'A refusal leaves the balance row as it was.');
select is((select count(*) from public.credit_transactions), 1::bigint, 'A refusal leaves no row in the ledger.');

update public.user_credits set credits_held = 2;
set local role authenticated;
select is(
  pg_temp.refusal('select public.consume_credit(2)') -> 'detail',
  '{"amount": 2, "credits_available": 1, "credits_remaining": 3}',
  'Two credits are refused while two of three are held.'
);
select lives_ok('select public.consume_credit(1)', 'The one that is not held may be spent.');
select throws_ok('select public.consume_credit(1)', 'PT402', 'insufficient_credits', 'Then nothing is left to spend.');

reset role;
update public.user_credits set credits_held = 0;
set local role authenticated;
select lives_ok('select public.consume_credit(2)', 'A balance may be spent to the last credit.');
select throws_ok('select public.consume_credit()', 'PT402', 'insufficient_credits', 'An empty balance gives nothing.');

reset role;
set local role service_role;
select throws_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000') $$,
  'PT402', 'insufficient_credits',
  'A service is refused as the user is.'
);

select * from finish();
rollback;
