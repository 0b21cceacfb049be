-- reserve_credits_for sets credits aside: they stay in the balance and cannot be spent. A capture spends all of them or
-- a part, and the rest goes free; a release gives all of them back.

begin;
select plan(24);

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
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

-- what a refused call says: its token, and its DETAIL
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
    return jsonb_build_object(sqlerrm, nullif(v_detail, '')::jsonb);
end;
$$;

select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 20);
set local role service_role;

select results_eq(
  $$
    select
      user_id, amount, status::text, captured_amount, seq, expires_at, created_at, ended_at, description, metadata,
      idempotency_key collate "default"
    from public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 8, '1 hour', 'A render', '{"frames": 9}', 'job-1')
  $$,
  $$
    values (
      'ada00000-0000-4000-8000-000000000000'::uuid, 8::bigint, 'active', null::bigint, null::bigint, '2026-03-01 01:00:00+00'::timestamptz,
      '2026-03-01 00:00:00+00'::timestamptz, null::timestamptz, 'A render', '{"frames": 9}'::jsonb, 'job-1'
    )
  $$,
  'A hold says what is held, until when and what for.'
);
select results_eq(
  'select credits_remaining, credits_held, public.credits_available(a), used_credits, last_seq from public.user_credits as a',
  'values (20::bigint, 8::bigint, 12::bigint, 0::bigint, 1::bigint)',
  'The balance stays, what is available is less, and nothing is used.'
);
select throws_ok($$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 13) $$, 'PT402', 'insufficient_credits', 'What is held cannot be spent.');
select throws_ok($$ select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 13) $$, 'PT402', 'insufficient_credits', 'Nor be held again.');
select is(
  pg_temp.refusal($$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 13) $$),
  '{"insufficient_credits": {"amount": 13, "credits_remaining": 20, "credits_available": 12}}',
  'The refusal says what is available.'
);
select is(
  (public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1)).expires_at, '2026-03-01 00:15:00+00'::timestamptz, 'Without a time a hold lasts 15 minutes.'
);
select is(
  (public.release_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds where amount = 1))).status::text, 'released', 'A hold may be released.'
);
select is((select credits_held from public.user_credits), 8::bigint, 'Its credits are free again.');

-- capture
select throws_ok(
  $$ select public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds where idempotency_key = 'job-1'), 9) $$, '22023', 'invalid_amount', 'More than is held cannot be captured.'
);
select is(
  pg_temp.refusal($$ select public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds where idempotency_key = 'job-1'), 9) $$), '{"invalid_amount": {"held": 8, "amount": 9}}', 'The refusal says how much is held.'
);
select set_config('test.now', '2026-03-01 00:30:00+00', true);
select results_eq(
  $$
    select seq, type::text, amount, balance_after, description, metadata, idempotency_key collate "default", created_at
    from public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds where idempotency_key = 'job-1'), 5, 'A render of 5', '{"frames": 5}', 'job-1-done')
  $$,
  $$
    values (
      2::bigint, 'consumption', -5::bigint, 15::bigint, 'A render of 5', '{"frames": 5}'::jsonb, 'job-1-done',
      '2026-03-01 00:30:00+00'::timestamptz
    )
  $$,
  'A capture of a part is a consumption of that part.'
);
select results_eq(
  'select credits_remaining, credits_held, used_credits from public.user_credits', 'values (15::bigint, 0::bigint, 5::bigint)',
  'The rest of the hold is free.'
);
select results_eq(
  $$ select status::text, amount, captured_amount, seq, ended_at from public.credit_holds where idempotency_key = 'job-1' $$,
  $$ values ('captured', 8::bigint, 5::bigint, 2::bigint, '2026-03-01 00:30:00+00'::timestamptz) $$,
  'The hold says what became of it.'
);
select is(
  (public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 15)).id)).amount, -15::bigint, 'Without an amount all of a hold is captured.'
);
select results_eq(
  'select credits_remaining, credits_held from public.user_credits', 'values (0::bigint, 0::bigint)', 'Nothing is left of it.'
);
select is(
  (public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 2)).amount, 5::bigint, 'What was captured can be given back like any consumption.'
);

-- whose
reset role;
insert into auth.users (id, email) values ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 10);
set local role service_role;
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 2, idempotency_key => 'job-2');
select is(
  pg_temp.refusal(format(statement, (select id from public.credit_holds where idempotency_key = 'job-2'))),
  jsonb_build_object('hold_not_found', jsonb_build_object('hold_id', (select id from public.credit_holds where idempotency_key = 'job-2'))),
  what
)
from (
  values
    ($$ select public.capture_hold_for('bea00000-0000-4000-8000-000000000000', %L) $$, 'Nobody captures a hold of somebody else.'),
    ($$ select public.release_hold_for('bea00000-0000-4000-8000-000000000000', %L) $$, 'Nor releases it.')
) as calls (statement, what);
select throws_ok(statement, 'PT404', 'hold_not_found', what)
from (
  values
    ($$ select public.capture_hold_for('ada00000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000') $$, 'A hold that is not there is answered alike.'),
    ($$ select public.release_hold_for('ada00000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000') $$, 'Also to be released.'),
    ($$ select public.capture_hold_for('ada00000-0000-4000-8000-000000000000', null) $$, 'No hold is one that is not there.'),
    ($$ select public.release_hold_for('ada00000-0000-4000-8000-000000000000', null) $$, 'Also no hold to release.')
) as calls (statement, what);
select is((select status::text from public.credit_holds where idempotency_key = 'job-2'), 'active', 'It is as it was.');
reset role;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
