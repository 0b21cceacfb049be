-- What the store took back and the user has spent already is a debt: nothing is consumed until it is paid, the next grant pays
-- it first, and a dispute that is won gives back exactly what was taken.

begin;
select plan(13);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);
create function pg_temp.dispute(type text, status text)
  returns text
  language sql
as $$
  select (
    public.process_stripe_event(
      jsonb_build_object(
        'id', 'evt_' || type, 'type', 'charge.dispute.' || type, 'livemode', true,
        'data', jsonb_build_object('object', jsonb_build_object('id', 'dp_1', 'payment_intent', 'pi_1', 'status', status))
      )::json
    )
  ).state::text
$$;
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'stripe', 'pi_1', 'pack');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 80);

select is(pg_temp.dispute('created', 'needs_response'), 'processed', 'The bank takes the money of a purchase that was mostly spent.');
select results_eq(
  'select a.credits_remaining, public.credits_available(a), a.total_credits, a.used_credits from public.user_credits as a',
  'values (-80::bigint, -80::bigint, 0::bigint, 80::bigint)',
  'The balance is a debt of what was spent.'
);
select results_eq(
  'select type::text, amount, balance_after from public.credit_transactions order by seq desc limit 1',
  $$ values ('clawback', -100::bigint, -80::bigint) $$,
  'One row takes all that was bought.'
);
select throws_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000') $$, 'PT402', 'insufficient_credits',
  'Nobody consumes in debt.'
);
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 50);
select is((select credits_remaining from public.user_credits), -30::bigint, 'A grant pays the debt first.');
select throws_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000') $$, 'PT402', 'insufficient_credits',
  'What is left of the debt refuses still.'
);
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'stripe', 'pi_2', 'pack');
select is((select credits_remaining from public.user_credits), 70::bigint, 'So does the next purchase.');
select lives_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 70) $$,
  'What is beyond the debt may be spent.'
);
select is(pg_temp.dispute('closed', 'won'), 'processed', 'The dispute is won.');
select results_eq(
  'select type::text, amount, balance_after from public.credit_transactions order by seq desc limit 1',
  $$ values ('clawback_reversal', 100::bigint, 100::bigint) $$,
  'It gives back exactly what was taken.'
);
select is(pg_temp.dispute('closed', 'won'), 'processed', 'Told again it is known.');
select is((select credits_remaining from public.user_credits), 100::bigint, 'Nothing is given twice.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
