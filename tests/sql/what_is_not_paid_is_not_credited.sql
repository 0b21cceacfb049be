-- A payment that is on its way or has failed is shown and credits nothing. Paid beats failed and failed beats pending,
-- whichever is told last.

begin;
select plan(8);

insert into auth.users (id) values ('ada00000-0000-4000-8000-000000000000');
select credits_private.set_product('any', 'pack', 100, 0, 0, 999, 'EUR', 'pro', null, null, null);

create temp table said (name text, type text, payment_status text);
insert into said
values
  ('pending', 'checkout.session.completed', 'unpaid'),
  ('failed', 'checkout.session.async_payment_failed', 'unpaid'),
  ('paid', 'checkout.session.async_payment_succeeded', 'paid'),
  ('free', 'checkout.session.completed', 'no_payment_required');
create function pg_temp.after(names text[])
  returns text
  language plpgsql
as $$
begin
  perform public.process_stripe_event(
    jsonb_build_object(
      'id', 'evt_' || n.place, 'type', s.type, 'livemode', true,
      'data', jsonb_build_object(
        'object', jsonb_build_object(
          'id', 'cs_1', 'mode', 'payment', 'payment_status', s.payment_status, 'payment_intent', 'pi_1', 'currency', 'eur',
          'amount_subtotal', 999, 'amount_total', 999, 'client_reference_id', 'ada00000-0000-4000-8000-000000000000',
          'metadata', '{"product_id": "pack"}'::jsonb
        )
      )
    )::json
  )
  from unnest(names) with ordinality as n (name, place)
  join said as s on s.name = n.name
  order by n.place;
  raise exception using
    errcode = 'UC000',
    message = (
      select format(
        '%s, %s of %s credits, %s, %s, %s', p.status, a.credits_remaining - 3, p.credits,
        case when p.verified_at is null then 'unverified' else 'verified' end,
        case when public.has_entitlement_for(p.user_id, 'pro') then 'pro' else 'not pro' end,
        case when a.last_purchase_at is null then 'no date' else 'dated' end
      )
      from public.purchase_transactions as p
      join public.user_credits as a using (user_id)
    );
exception
  when sqlstate 'UC000' then
    return sqlerrm;
end;
$$;

select is(pg_temp.after('{pending}'), 'pending, 0 of 100 credits, unverified, not pro, no date', 'A payment on its way credits nothing.');
select is(pg_temp.after('{failed}'), 'failed, 0 of 100 credits, unverified, not pro, no date', 'A failed payment credits nothing.');
select is(pg_temp.after('{paid}'), 'completed, 100 of 100 credits, verified, pro, dated', 'A payment credits.');
select is(pg_temp.after('{free}'), 'completed, 100 of 100 credits, verified, pro, dated', 'So does one of which nothing was left to pay.');
select results_eq(
  $$ select distinct pg_temp.after(o) from unnest(array['pending,failed', 'failed,pending', 'failed,pending,failed']) as l (list), string_to_array(l.list, ',') as o $$,
  $$ values ('failed, 0 of 100 credits, unverified, not pro, no date') $$,
  'Failed beats pending in any order.'
);
select results_eq(
  $$
    select distinct pg_temp.after(o)
    from unnest(
      array['pending,failed,paid', 'pending,paid,failed', 'failed,pending,paid', 'failed,paid,pending', 'paid,pending,failed', 'paid,failed,pending']
    ) as l (list), string_to_array(l.list, ',') as o
  $$,
  $$ values ('completed, 100 of 100 credits, verified, pro, dated') $$,
  'Paid beats both in any order.'
);
select results_eq(
  $$
    select e.state::text, e.reason, e.details
    from public.process_stripe_event(
      '{"id": "evt_x", "type": "checkout.session.completed", "livemode": true, "data": {"object": {
        "id": "cs_2", "mode": "payment", "payment_status": "perhaps", "payment_intent": "pi_2",
        "client_reference_id": "ada00000-0000-4000-8000-000000000000", "metadata": {"product_id": "pack"}}}}'
    ) as e
  $$,
  $$ values ('failed', 'wrong_shape', '{"field": "payment_status"}'::jsonb) $$,
  'A word that Stripe does not document is not taken for paid.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
