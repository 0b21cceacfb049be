-- get_balance_at_for answers what a balance was at a past instant: what the last row posted until then says.
-- The clock of the database is replaced here, so that rows have times that can be named.

begin;
select plan(10);

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

select set_config('test.now', '2026-03-01 10:00:00+00', true);
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
select set_config('test.now', '2026-03-02 10:00:00+00', true);
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 10, 'purchase');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1);
select set_config('test.now', '2026-03-03 10:00:00+00', true);
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 5);

set local role service_role;
select is(
  public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', instant::timestamptz),
  balance::bigint,
  what
)
from (
  values
    ('2026-03-01 09:59:59.999999+00', 0, 'Before the first row the balance was 0.'),
    ('2026-03-01 10:00:00+00', 3, 'At the instant of a row the row counts.'),
    ('2026-03-02 09:59:59.999999+00', 3, 'Until the next row the balance stays.'),
    ('2026-03-02 10:00:00+00', 12, 'Of rows of one instant the last counts.'),
    ('2026-03-02 23:00:00+14', 3, 'An instant is the same in every time zone.'),
    ('2026-03-03 10:00:00+00', 7, 'At the last row the balance is that of now.'),
    ('infinity', 7, 'At the end of time it is that of now.'),
    ('-infinity', 0, 'At its beginning it was 0.')
) as instants (instant, balance, what);
select throws_ok(
  $$ select public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', null) $$,
  '22023', 'invalid_argument',
  'An instant has to be named.'
);

-- a clock that was set back does not change the order
reset role;
select set_config('test.now', '2026-03-02 12:00:00+00', true);
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1);
select is(
  public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', '2026-03-04'), 6::bigint,
  'Rows are ordered by their number, also after the clock was set back.'
);

select * from finish();
rollback;
