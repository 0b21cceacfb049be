-- refund_consumption_for gives back a consumption, whole or in parts, until all of it is given back. Only a consumption
-- of this very user can be.

begin;
select plan(32);

create or replace function credits_private.now()
  returns timestamptz
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  return current_setting('test.now');
end;
$$;

select set_config('test.now', '2026-03-01 00:00:00+00', true);
select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'), ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');

select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 20, 'purchase');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 7);
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 5);
select public.add_credits_for('bea00000-0000-4000-8000-000000000000', 20);
select public.consume_credit_for('bea00000-0000-4000-8000-000000000000', 4);
set local role service_role;

select results_eq(
  $$
    select seq, type::text, amount, balance_after, description, metadata, idempotency_key collate "default"
    from public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 2, 3, 'It failed', '{"job": 1}', 'undo-1')
  $$,
  $$ values (4::bigint, 'refund', 3::bigint, 11::bigint, 'It failed', '{"job": 1}'::jsonb, 'undo-1') $$,
  'A part of a consumption is given back.'
);
select results_eq(
  'select credits_remaining, total_credits, used_credits from public.user_credits where user_id = ' || quote_literal('ada00000-0000-4000-8000-000000000000'),
  'values (11::bigint, 20::bigint, 9::bigint)',
  'It is used no more.'
);
select is((public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 2, 3, 'It failed', '{"job": 1}', 'undo-1')).seq, 4::bigint, 'With its key it is given back once.');
select throws_ok(
  $$ select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 2, null, 'It failed', '{"job": 1}', 'undo-1') $$,
  'PT422', 'idempotency_key_reused', 'The key of a part does not mean all that is left.'
);
select throws_ok(
  format('select public.refund_consumption_for(%L, %s, %s, %L, %L, %L)', 'ada00000-0000-4000-8000-000000000000', seq, amount, description, metadata, 'undo-1'),
  'PT422', 'idempotency_key_reused', format('The key means this refund and not that of %s.', what)
)
from (
  values
    (2, 4, 'It failed', '{"job": 1}', 'another amount'),
    (3, 3, 'It failed', '{"job": 1}', 'another consumption'),
    (2, 3, 'It broke', '{"job": 1}', 'another reason'),
    (2, 3, 'It failed', '{"job": 2}', 'another job')
) as calls (seq, amount, description, metadata, what);
select throws_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 3, 'It failed', '{"job": 1}', 'undo-1') $$, 'PT422', 'idempotency_key_reused',
  'Nor can the key be spent with.'
);
create function pg_temp.refused(seq bigint, amount bigint)
  returns json
  language plpgsql
as $$
declare
  v_detail text;
begin
  perform public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', seq, amount);
  return null;
exception
  when sqlstate 'PT409' or sqlstate 'PT404' then
    get stacked diagnostics v_detail = pg_exception_detail;
    return json_build_object(sqlerrm, v_detail::json);
end;
$$;
select is(
  pg_temp.refused(2, 5)::jsonb, '{"refund_exceeds_consumption": {"amount": 5, "refundable": 4}}', 'More than is left of it is refused.'
);
select is((public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 2, 1)).amount, 1::bigint, 'It may be given back in more parts.');
select is((public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 2, idempotency_key => 'undo-2')).amount, 3::bigint, 'Without an amount all that is left is.');
select is((public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 2, idempotency_key => 'undo-2')).amount, 3::bigint, 'Again with its key that is the same row.');
select is(
  pg_temp.refused(2, amount)::jsonb, format('{"refund_exceeds_consumption": {"amount": %s, "refundable": 0}}', coalesce(amount::text, 'null'))::jsonb,
  format('Nothing is left to give back of it, %s.', coalesce('not ' || amount, 'not all of nothing'))
)
from (values (1), (null)) as amounts (amount);
select is(
  pg_temp.refused(seq, 1)::jsonb, format('{"transaction_not_found": {"seq": %s}}', coalesce(seq::text, 'null'))::jsonb,
  format('Given back cannot be %s.', what)
)
from (
  values
    (1, 'a purchase'),
    (4, 'a refund'),
    (7, 'a row that is not there'),
    (0, 'row 0'),
    (-1, 'a row before it'),
    (9223372036854775807, 'the last row of all'),
    (null, 'no row')
) as rows (seq, what);
select throws_ok(
  $$ select public.refund_consumption_for('bea00000-0000-4000-8000-000000000000', 3) $$, 'PT404', 'transaction_not_found', 'A row of somebody else cannot be given back.'
);
select throws_ok(
  format('select public.refund_consumption_for(%L, 3, %s)', 'ada00000-0000-4000-8000-000000000000', amount), '22023', 'invalid_amount', format('%s credits cannot be given back.', amount)
)
from (values ('0'), ('-1'), ('1000000000001'), ('9223372036854775807')) as amounts (amount);
select throws_ok(
  $$ select public.refund_consumption_for('fae00000-0000-4000-8000-000000000000', 2) $$, 'PT404', 'account_not_found',
  'A user who is not there gets nothing back.'
);
select throws_ok($$ select public.refund_consumption_for(null, 2) $$, 'PT401', 'not_authenticated', 'Nor does nobody.');

select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 3);
select results_eq(
  'select credits_remaining, total_credits, used_credits, last_seq from public.user_credits order by user_id',
  'values (20::bigint, 20::bigint, 0::bigint, 7::bigint), (16, 20, 4, 2)',
  'At the end everything is back, and nobody else has anything of it.'
);
reset role;
select is((select (public.get_usage_for('ada00000-0000-4000-8000-000000000000', '-infinity')).refunded), 12::bigint, 'The usage counts what was given back.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
