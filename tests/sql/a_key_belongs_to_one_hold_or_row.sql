-- An idempotency key names one operation of a user, over holds and ledger: a hold's key cannot be spent with, a row's
-- key cannot be held with, and a key asked for again is the same hold.

begin;
select plan(23);

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

select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 50, idempotency_key => 'row-1');
set local role service_role;
select is(
  (public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 5, '1 hour', 'A render', '{"n": 1}', 'hold-1')).id,
  (public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 5, '60 min', 'A render', '{"n": 1.0}', 'hold-1')).id,
  'The same key is the same hold.'
);
select is((select credits_held from public.user_credits), 5::bigint, 'It is held once.');
select set_config('test.now', '2026-03-01 00:30:00+00', true);
select is(
  (public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 5, '1 hour', 'A render', '{"n": 1}', 'hold-1')).expires_at, '2026-03-01 01:00:00+00'::timestamptz,
  'Asked for again it lasts no longer.'
);
select throws_ok(
  format('select public.reserve_credits_for(%L, %s, %L, %L, %L, %L)', 'ada00000-0000-4000-8000-000000000000', amount, expires_in, description, metadata, 'hold-1'),
  'PT422', 'idempotency_key_reused', format('The key does not mean %s.', what)
)
from (
  values
    (6, '1 hour', 'A render', '{"n": 1}', 'another amount'),
    (5, '2 hours', 'A render', '{"n": 1}', 'another time'),
    (5, '1 hour', 'An export', '{"n": 1}', 'another description'),
    (5, '1 hour', 'A render', '{"n": 2}', 'other metadata')
) as calls (amount, expires_in, description, metadata, what);
select throws_ok(statement, 'PT422', 'idempotency_key_reused', what)
from (
  values
    ($$ select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 50, idempotency_key => 'row-1') $$, 'The key of a row is no key for a hold.'),
    ($$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 5, 'A render', '{"n": 1}', 'hold-1') $$, 'The key of a hold is none for a spend.'),
    ($$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, 'bonus', null, 'A render', '{"n": 1}', 'hold-1') $$, 'Nor for an addition.'),
    ($$ insert into public.credit_transactions (user_id, type, amount, idempotency_key) values ('ada00000-0000-4000-8000-000000000000', 'bonus', 5, 'hold-1') $$, 'Nor for a row by hand.'),
    (
      $$ insert into public.credit_transactions (user_id, type, amount, idempotency_key) values ('ada00000-0000-4000-8000-000000000000', 'bonus', 5, 'hold-1') on conflict do nothing $$,
      'Also where a conflict would be nothing.'
    ),
    ($$ select public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds), 5, 'A render', '{"n": 1}', 'hold-1') $$, 'Nor for its own capture.')
) as calls (statement, what);
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1, idempotency_key => 'spend-1');
select throws_ok(
  $$ select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 2, idempotency_key => 'hold-1') $$, 'PT422', 'idempotency_key_reused', 'Nor for a refund.'
);
select throws_ok(
  $$ select public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds), 1, idempotency_key => 'spend-1') $$,
  'PT422', 'idempotency_key_reused', 'The key of a spend is none for a capture.'
);
select throws_ok(
  $$ select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1, idempotency_key => 'spend-1') $$, 'PT422', 'idempotency_key_reused', 'Nor for a hold.'
);
select throws_ok(
  format('select public.%s', call), '22023', 'invalid_idempotency_key', format('A key of the package is refused by %s.', split_part(call, '(', 1))
)
from (
  values
    ($$reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1, idempotency_key => 'credits:hold')$$),
    ($$capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds), 1, idempotency_key => 'credits:hold')$$),
    ($$refund_consumption_for('ada00000-0000-4000-8000-000000000000', 2, idempotency_key => 'credits:hold')$$),
    ($$reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1, idempotency_key => '')$$)
) as calls (call);

-- after it has ended, the key is used up
select public.release_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds));
select throws_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 5, idempotency_key => 'hold-1') $$, 'PT422', 'idempotency_key_reused', 'Released, the hold keeps its key.'
);
select results_eq(
  'select credits_remaining, credits_held, last_seq from public.user_credits', 'values (49::bigint, 0::bigint, 2::bigint)', 'Nothing refused has left anything.'
);
reset role;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
