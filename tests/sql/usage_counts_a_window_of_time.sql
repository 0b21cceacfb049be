-- get_usage adds up what was consumed and given back from one instant (included) until another (not
-- included). The clock of the database is replaced here, so that rows have times that can be named.

begin;
select plan(17);

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
insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 100, 'purchase');
select set_config('test.now', '2026-03-01 10:00:00+00', true);
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1);
select set_config('test.now', '2026-03-01 11:00:00+00', true);
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 10);
select set_config('test.now', '2026-03-01 12:00:00+00', true);
insert into public.credit_transactions (user_id, type, amount)
values
  ('ada00000-0000-4000-8000-000000000000', 'refund', 4),
  ('ada00000-0000-4000-8000-000000000000', 'clawback', -7);
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 20);
select public.consume_credit_for('bea00000-0000-4000-8000-000000000000', 2);

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;

select results_eq(
  format('select consumed, refunded, operations from public.get_usage(%L, %L)', since, until),
  format('values (%s::bigint, %s::bigint, %s::bigint)', consumed, refunded, operations),
  what
)
from (
  values
    ('2026-03-01 00:00+00', '2026-03-02 00:00+00', 31, 4, 3, 'A day has all that was spent in it.'),
    ('2026-03-01 00:00+00', null, 31, 4, 3, 'Without an end the window is open.'),
    ('2026-03-01 10:00+00', '2026-03-01 11:00+00', 1, 0, 1, 'The beginning is included, the end is not.'),
    ('2026-03-01 11:00+00', '2026-03-01 12:00+00', 10, 0, 1, 'So windows that meet count nothing twice.'),
    ('2026-03-01 12:00+00', '2026-03-01 13:00+00', 20, 4, 1, 'What was given back is counted apart; a clawback is not usage.'),
    ('2026-03-01 10:00+00', '2026-03-01 10:00+00', 0, 0, 0, 'A window without length is empty.'),
    ('2026-03-01 00:00+00', '2026-03-01 10:00+00', 0, 0, 0, 'Credits added are not usage.'),
    ('2026-03-01 12:00+02', '2026-03-01 13:00+02', 1, 0, 1, 'An instant is the same in every time zone.'),
    ('-infinity', 'infinity', 31, 4, 3, 'A window may be all of time.')
) as windows (since, until, consumed, refunded, operations, what);

set local timezone = 'Pacific/Kiritimati';
select results_eq(
  $$ select consumed, operations from public.get_usage('2026-03-01 10:00:00+00', '2026-03-01 11:00:00+00') $$,
  'values (1::bigint, 1::bigint)',
  'The time zone of the session changes nothing.'
);
reset timezone;

select throws_ok(
  'select public.get_usage(null)', '22023', 'invalid_argument',
  'A window has a beginning.'
);
select throws_ok(
  $$ select public.get_usage('2026-03-02', '2026-03-01') $$, '22023', 'invalid_argument',
  'A window does not end before it begins.'
);

select set_config('request.jwt.claims', '{"sub": "bea00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
select results_eq(
  $$ select consumed, refunded, operations from public.get_usage('2026-03-01') $$,
  'values (2::bigint, 0::bigint, 1::bigint)',
  'Bea has a usage of her own.'
);

reset role;
set local role service_role;
select results_eq(
  $$
    select consumed, refunded, operations
    from public.get_usage_for('ada00000-0000-4000-8000-000000000000', '2026-03-01 11:00:00+00', '2026-03-01 12:00:00+00')
  $$,
  'values (10::bigint, 0::bigint, 1::bigint)',
  'A service asks for a user whom it names.'
);
select results_eq(
  $$ select consumed, refunded, operations from public.get_usage_for('ada00000-0000-4000-8000-000000000000', '2026-03-01') $$,
  'values (31::bigint, 4::bigint, 3::bigint)',
  'Without an end its window is open too.'
);
select throws_ok(
  $$ select public.get_usage_for('ada00000-0000-4000-8000-000000000000', null) $$, '22023', 'invalid_argument',
  'A window of a service has a beginning too.'
);
select throws_ok(
  $$ select public.get_usage_for('ada00000-0000-4000-8000-000000000000', '2026-03-02', '2026-03-01') $$,
  '22023', 'invalid_argument',
  'It does not end before it begins either.'
);

select * from finish();
rollback;
