-- A spend that takes the balance below alert_below puts one item into the outbox, once a crossing, whichever way credits are
-- spent. Nothing else does.

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
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'), ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');

select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 20), public.add_credits_for('bea00000-0000-4000-8000-000000000000', 20);
create function pg_temp.items()
  returns text
  language sql
as $$
  select string_agg(concat_ws('/', o.payload ->> 'credits_remaining', o.payload ->> 'alert_below', o.payload ->> 'seq'), ' ' order by o.payload ->> 'seq')
  from credits_private.outbox as o
$$;
create temp table others as select * from public.user_credits where user_id = 'bea00000-0000-4000-8000-000000000000';
select is((public.set_alert_for('ada00000-0000-4000-8000-000000000000', 10)).alert_below, 10::bigint, 'The level is set on the balance.');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 10);
select is(pg_temp.items(), null, 'At the level there is no notice.');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1, idempotency_key => 'spend-1');
select results_eq(
  'select kind, user_id, payload, attempts, created_at from credits_private.outbox',
  $$
    values (
      'low_balance', 'ada00000-0000-4000-8000-000000000000'::uuid, '{"seq": 3, "alert_below": 10, "credits_remaining": 9}'::jsonb, 0,
      '2026-03-01 00:00:00+00'::timestamptz
    )
  $$,
  'Below it there is one, with the figures.'
);
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1, idempotency_key => 'spend-1');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 2);
select is(pg_temp.items(), '9/10/3', 'A replay queues none, nor does a spend further down.');
select public.refund_consumption_for('ada00000-0000-4000-8000-000000000000', 4);
select is(pg_temp.items(), '9/10/3', 'Nor what gives back.');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5);
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 6);
select is(pg_temp.items(), '9/10/3 8/10/7', 'Risen above and fallen below again, there is another.');

-- a capture, and a row by hand
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 4);
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 8);
select is(pg_temp.items(), '9/10/3 8/10/7', 'A hold is no spend.');
select public.capture_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds), 5);
select is(pg_temp.items(), '9/10/3 8/10/7 7/10/9', 'Its capture is.');
delete from credits_private.outbox;
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 4);
insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'consumption', -4);
select is(pg_temp.items(), '7/10/11', 'So is a consumption inserted by hand.');
delete from credits_private.outbox;

-- what is no spend
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 4);
insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'clawback', -4);
insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'bonus', 3);
insert into public.credit_transactions (user_id, type, amount) values ('ada00000-0000-4000-8000-000000000000', 'admin_adjustment', -1);
select throws_ok($$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 10) $$, 'PT402', 'insufficient_credits', 'A refused spend is none.');
select is(pg_temp.items(), null, 'What a store or an operator takes queues nothing.');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 1);
select public.set_alert_for('ada00000-0000-4000-8000-000000000000');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 5);
select is(pg_temp.items(), null, 'Without a level there is no notice.');

-- a spend that settles first: an expiry takes the balance below, which is no spend
select public.set_alert_for('bea00000-0000-4000-8000-000000000000', 18);
select public.add_credits_for('bea00000-0000-4000-8000-000000000000', 5, expires_at => '2026-03-02 00:00:00+00');
select set_config('test.now', '2026-03-03 00:00:00+00', true);
select is(
  (public.set_alert_for('bea00000-0000-4000-8000-000000000000', 18)).credits_remaining,
  (public.get_user_credits_for('bea00000-0000-4000-8000-000000000000')).credits_remaining,
  'Setting the level shows the balance as it is now.'
);
select public.consume_credit_for('bea00000-0000-4000-8000-000000000000', 2);
select is(pg_temp.items(), null, 'At the level after an expiry there is no notice.');
select public.consume_credit_for('bea00000-0000-4000-8000-000000000000', 1);
select is(pg_temp.items(), '17/18/5', 'The spend that crosses it queues one.');
select public.set_alert_for('bea00000-0000-4000-8000-000000000000', 18);
select is((select count(*) from credits_private.outbox), 1::bigint, 'Setting the level is no crossing.');
select throws_ok(
  format('select public.set_alert_for(%L, %s)', 'ada00000-0000-4000-8000-000000000000', level), '22023', 'invalid_argument', format('%s is no balance.', level)
)
from unnest(array['9007199254740992', '-9007199254740992', '9223372036854775807', '-9223372036854775808']) as levels (level);
select throws_ok($$ select public.set_alert_for(null, 1) $$, 'PT401', 'not_authenticated', 'Nobody has no level.');
select throws_ok($$ select public.set_alert_for('fae00000-0000-4000-8000-000000000000', 1) $$, 'PT404', 'account_not_found', 'Nor has who is not there.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
