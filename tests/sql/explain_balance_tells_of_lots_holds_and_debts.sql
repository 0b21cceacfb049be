-- explain_balance_for tells what a balance is made of and what will become of it, in figures for programs and in sentences for
-- a mail: lots, holds, grants to come, debts and where they came from.

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
select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'), ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');

select credits_private.set_product('any', 'pack', 30, 0, 0, null, null, null, null, null, null);
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 10, description => 'Welcome', expires_at => '2026-03-10 00:00:00+00');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, 'purchase', expires_at => '2026-03-20 12:30:00+00');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 1, expires_at => '2026-03-02 00:00:00+00');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 3);
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 10, '10 days', 'A render');
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1, '1 hour');
select public.set_recurring_grant('plan', 20, 'month', 'ada00000-0000-4000-8000-000000000000', rollover => true);
set local role service_role;
select set_config('test.now', '2026-03-05 18:00:30+00', true);
set local timezone = 'Pacific/Kiritimati';
create temp table explained as select public.explain_balance_for('ada00000-0000-4000-8000-000000000000') as it;
select is(
  (select it - array['by_type', 'latest', 'lots', 'holds', 'recurring_grants', 'summary', 'as_of'] from explained),
  '{
    "user_id": "ada00000-0000-4000-8000-000000000000", "credits_available": 23, "credits_remaining": 33, "credits_held": 10,
    "total_credits": 36, "used_credits": 3, "operations": 4, "unwritten": 20, "debts": [], "adds_up": true
  }',
  'The figures are those of now.'
);
select is((select it ->> 'as_of' from explained)::timestamptz, '2026-03-05 18:00:30+00'::timestamptz, 'It says of when.');
select is(
  (select jsonb_agg(l - 'expires_at') from explained, jsonb_array_elements(it -> 'lots') as l),
  '[
    {"seq": 1, "type": "bonus", "description": "Welcome", "granted": 10, "remaining": 0, "held": 8},
    {"seq": 2, "type": "purchase", "description": null, "granted": 5, "remaining": 3, "held": 2}
  ]',
  'Of each lot it says what is left and what is held, an expired hold not counted.'
);
select is(
  (select jsonb_agg(h - array['id', 'created_at', 'expires_at']) from explained, jsonb_array_elements(it -> 'holds') as h),
  '[{"amount": 10, "description": "A render"}]', 'Of the holds it says those that are active.'
);
select is(
  (select jsonb_agg(g - 'next_at') from explained, jsonb_array_elements(it -> 'recurring_grants') as g),
  '[{"name": "plan", "amount": 20, "period": "month", "rollover": true}]', 'And what comes again.'
);
select is(
  (select (it #>> '{recurring_grants,0,next_at}')::timestamptz from explained), '2026-04-01 00:00:00+00'::timestamptz, 'And when.'
);
select is(
  (select it -> 'summary' from explained),
  '[
    "On 5 March 2026 18:00 UTC the balance is 33 credits; 10 are held, so 23 credits can be spent.",
    "Bonus: +11 in 2 operations.",
    "Consumption: -3 in 1 operation.",
    "Purchase: +5 in 1 operation.",
    "Due since, and written with the next operation: +20.",
    "0 credits (and 8 held) of the 10 from row 1 (Welcome) expire on 10 March 2026 00:00 UTC.",
    "3 credits (and 2 held) of the 5 from row 2 (purchase) expire on 20 March 2026 12:30 UTC.",
    "10 credits are held for A render until 11 March 2026 00:00 UTC at the latest.",
    "20 credits come every month (plan), next on 1 April 2026 00:00 UTC."
  ]',
  'The summary says all that in sentences, in UTC.'
);
select is(
  (
    select sum((t.value ->> 'credits')::bigint) from explained, jsonb_each(it -> 'by_type') as t
  ),
  (select (it ->> 'credits_remaining')::numeric - (it ->> 'unwritten')::numeric from explained),
  'The totals by type and what is not written yet come to the balance.'
);

-- a debt
reset role;
select public.record_purchase_for('bea00000-0000-4000-8000-000000000000', 'play_store', 't1', 'pack');
select public.consume_credit_for('bea00000-0000-4000-8000-000000000000', 25);
select public.refund_purchase('play_store', 't1', 'r1');
select set_config('test.now', '2026-03-06 18:00:00+00', true);
select public.add_credits_for('bea00000-0000-4000-8000-000000000000', 5);
insert into public.credit_transactions (user_id, type, amount, description) values ('bea00000-0000-4000-8000-000000000000', 'admin_adjustment', -1, 'A correction');
set local role service_role;
update explained set it = public.explain_balance_for('bea00000-0000-4000-8000-000000000000');
select is(
  (select jsonb_agg(d - 'created_at') from explained, jsonb_array_elements(it -> 'debts') as d),
  '[
    {"seq": 5, "type": "admin_adjustment", "amount": -1, "balance_after": -21, "description": "A correction"},
    {"seq": 3, "type": "clawback", "amount": -30, "balance_after": -25, "description": "Refund of pack"}
  ]',
  'Of a debt it says where it comes from, the newest first.'
);
select is(
  (select jsonb_path_query_array(it, '$.summary[*] ? (@ like_regex "[Bb]elow zero|-21")') from explained),
  '[
    "On 6 March 2026 18:00 UTC the balance is -21 credits.",
    "Below zero since row 3 of 5 March 2026 18:00 UTC: clawback of 30 credits (Refund of pack). The next credits pay this first.",
    "Below zero since row 5 of 6 March 2026 18:00 UTC: admin adjustment of 1 credit (A correction). The next credits pay this first."
  ]',
  'In sentences too.'
);
select throws_ok($$ select public.explain_balance_for('fae00000-0000-4000-8000-000000000000') $$, 'PT404', 'account_not_found', 'Who is not there has nothing to explain.');

select * from finish();
rollback;
