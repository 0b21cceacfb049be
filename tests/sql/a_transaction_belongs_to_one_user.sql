-- A transaction of a store is credited to one user of the whole database. Somebody else who brings it, as a service or in an
-- event, gets nothing, and the refusal does not say whose it is. The same id in another store or environment is another one.

begin;
select plan(11);

insert into auth.users (id)
values ('ada00000-0000-4000-8000-000000000000'), ('bea00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, null, null, null, null);
select credits_private.set_product('any', 'pack_2', 200, 0, 0, null, null, null, null, null, null);
select credits_private.set_setting('sandbox', 'allow');

create temp table refused (sqlstate text, message text, detail text, hint text);
create function pg_temp.refusal(statement text)
  returns setof refused
  language plpgsql
as $$
declare
  v_refused refused;
begin
  execute statement;
exception
  when others then
    get stacked diagnostics
      v_refused.sqlstate = returned_sqlstate,
      v_refused.message = message_text,
      v_refused.detail = pg_exception_detail,
      v_refused.hint = pg_exception_hint;
    return next v_refused;
end;
$$;

select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'app_store', '1', 'pack');
select results_eq(
  $$
    select r.sqlstate, r.message, r.detail::jsonb
    from pg_temp.refusal(
      $s$ select public.record_purchase_for('bea00000-0000-4000-8000-000000000000', 'app_store', '1', 'pack') $s$
    ) as r
  $$,
  $$ values ('PT409', 'purchase_conflict', '{"store": "app_store", "transaction_id": "1"}'::jsonb) $$,
  'Bea is refused what Ada bought.'
);
select is_empty(
  $$
    select *
    from pg_temp.refusal(
      $s$ select public.record_purchase_for('bea00000-0000-4000-8000-000000000000', 'app_store', '1', 'pack') $s$
    ) as r
    where r::text ilike '%ada%'
  $$,
  'The refusal does not name Ada.'
);
select throws_ok(
  $$ select public.record_purchase_for('bea00000-0000-4000-8000-000000000000', 'app_store', '1', 'pack_2') $$,
  'PT409', 'purchase_conflict',
  'Another product of the same transaction is not hers either.'
);
select results_eq(
  $$
    select e.state::text, e.reason, e.user_id, e.details
    from public.process_revenuecat_event(
      '{"event": {"id": "a", "type": "INITIAL_PURCHASE", "app_user_id": "bea00000-0000-4000-8000-000000000000",
        "store": "APP_STORE", "environment": "PRODUCTION", "transaction_id": "1", "product_id": "pack"}}'
    ) as e
  $$,
  $$ values ('failed', 'purchase_conflict', null::uuid, '{"store": "app_store", "transaction_id": "1"}'::jsonb) $$,
  'An event that says she bought it waits for an operator.'
);
select is(
  (select credits_remaining from public.user_credits where user_id = 'bea00000-0000-4000-8000-000000000000'), 3::bigint,
  'Bea has no credits of it.'
);

-- the same through two names of one payment
select public.record_purchase_for('ada00000-0000-4000-8000-000000000000', 'stripe', 'pi_1', 'pack');
select results_eq(
  $$
    select e.state::text, e.reason
    from public.process_stripe_event(
      '{"id": "b", "type": "checkout.session.completed", "livemode": true, "data": {"object": {
        "id": "cs_1", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_1",
        "client_reference_id": "bea00000-0000-4000-8000-000000000000", "metadata": {"product_id": "pack"}}}}'
    ) as e
  $$,
  $$ values ('failed', 'purchase_conflict') $$,
  'A session of Bea''s for the payment of Ada''s is refused.'
);
select public.record_purchase_for('bea00000-0000-4000-8000-000000000000', 'stripe', 'pi_2', 'pack');
select results_eq(
  $$
    select e.state::text, e.reason
    from public.process_stripe_event(
      '{"id": "c", "type": "checkout.session.completed", "livemode": true, "data": {"object": {
        "id": "pi_2", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_1",
        "client_reference_id": "ada00000-0000-4000-8000-000000000000", "metadata": {"product_id": "pack"}}}}'
    ) as e
  $$,
  $$ values ('failed', 'purchase_conflict') $$,
  'Two names that were credited to two users never become one.'
);
select is(
  (select count(*) from public.credit_transactions where type = 'purchase'), 3::bigint,
  'Nothing but the three purchases was credited.'
);

-- another transaction
select lives_ok(
  $$ select public.record_purchase_for('bea00000-0000-4000-8000-000000000000', 'play_store', '1', 'pack') $$,
  'The same id in another store is another transaction.'
);
select lives_ok(
  $$ select public.record_purchase_for('bea00000-0000-4000-8000-000000000000', 'app_store', '1', 'pack', environment => 'SANDBOX') $$,
  'The same id in another environment is another transaction.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
