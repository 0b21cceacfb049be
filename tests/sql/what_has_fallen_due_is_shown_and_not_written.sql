-- Reads count what has fallen due and write nothing; a replay answers as before and writes nothing either, whatever has
-- fallen due meanwhile. Both work in a read-only transaction as far as they may.

begin;
select plan(11);

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
select credits_private.set_setting('signup_bonus', '3');
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 10, expires_at => '2026-03-10 00:00:00+00', idempotency_key => 'lot-1');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 2, idempotency_key => 'spend-1');
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 3, '1 day', idempotency_key => 'hold-1');
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1, '1 day', idempotency_key => 'hold-2');
select public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds where idempotency_key = 'hold-2'), idempotency_key => 'capture-1');
select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 3, 1, idempotency_key => 'refund-1');
select public.set_recurring_grant('daily', 5, 'day', 'ada00000-0000-4000-8000-000000000000');
select public.set_alert_for('ada00000-0000-4000-8000-000000000000', 100);
create temp table before as
select
  (select jsonb_agg(to_jsonb(a)) from public.user_credits as a) as accounts,
  (select jsonb_agg(to_jsonb(t) order by t.seq) from public.credit_transactions as t) as ledger,
  (select jsonb_agg(to_jsonb(h) order by h.id) from public.credit_holds as h) as holds,
  (select jsonb_agg(to_jsonb(l) order by l.seq) from credits_private.credit_lots as l) as lots,
  (select jsonb_agg(to_jsonb(l) order by l.seq, l.lot_seq) from credits_private.lot_allocations as l) as allocations,
  (select jsonb_agg(to_jsonb(d)) from credits_private.due_accounts as d) as due,
  (select count(*) from credits_private.outbox) as items;
create function pg_temp.changes()
  returns setof before
  language sql
as $$
  select
    (select jsonb_agg(to_jsonb(a)) from public.user_credits as a),
    (select jsonb_agg(to_jsonb(t) order by t.seq) from public.credit_transactions as t),
    (select jsonb_agg(to_jsonb(h) order by h.id) from public.credit_holds as h),
    (select jsonb_agg(to_jsonb(l) order by l.seq) from credits_private.credit_lots as l),
    (select jsonb_agg(to_jsonb(l) order by l.seq, l.lot_seq) from credits_private.lot_allocations as l),
    (select jsonb_agg(to_jsonb(d)) from credits_private.due_accounts as d),
    (select count(*) from credits_private.outbox)
  except
  select * from before
$$;

-- everything has fallen due: the lot, the hold and nine more days of the grant
select set_config('test.now', '2026-03-10 06:00:00+00', true);
select results_eq(
  $$ select credits_remaining, credits_held, total_credits, used_credits, last_seq, next_due_at from public.get_user_credits_for('ada00000-0000-4000-8000-000000000000') $$,
  $$ values (8::bigint, 0::bigint, 10::bigint, 2::bigint, 5::bigint, '2026-03-11 00:00:00+00'::timestamptz) $$,
  'A read counts what has fallen due.'
);
select is(public.get_balance_at_for('ada00000-0000-4000-8000-000000000000', credits_private.now()), 8::bigint, 'So does the balance at an instant.');
select is(public.explain_balance_for('ada00000-0000-4000-8000-000000000000') -> 'credits_available', '8', 'And the explanation.');
select lives_ok('select * from public.verify_ledger()', 'The proof reads too.');
select is_empty('select * from pg_temp.changes()', 'None of these has written anything.');

select is(answer, true, what)
from (
  values
    ((public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 2, idempotency_key => 'spend-1')).balance_after = 11, 'A spend asked for again is the row it was.'),
    ((public.add_credits_for('ada00000-0000-4000-8000-000000000000', 10, expires_at => '2026-03-10 00:00:00+00', idempotency_key => 'lot-1')).seq = 2, 'So is an addition, though its lot has expired.'),
    ((public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds where idempotency_key = 'hold-2'), idempotency_key => 'capture-1')).seq = 4, 'A capture.'),
    ((public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 3, 1, idempotency_key => 'refund-1')).seq = 5, 'A refund.'),
    ((public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 3, '1 day', idempotency_key => 'hold-1')).status = 'expired', 'A hold says that it has expired.'),
    ((public.set_recurring_grant('daily', 5, 'day', 'ada00000-0000-4000-8000-000000000000')).amount = 5, 'A grant set again is what it was.')
) as answers (answer, what);

select * from finish();
rollback;
