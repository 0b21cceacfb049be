-- read_stripe_event: what an event of Stripe says, as facts.
--
-- One place knows Stripe's words. A payment is named by its payment intent, else its invoice, else its session, and every
-- event names what it knows. Amounts that went back are told three ways (a charge's growing total, refunds by id, disputes
-- by id) and are kept apart here; refunded_share puts them together. An inquiry (warning_*) moves no money.
-- Field names: docs.stripe.com/api; invoices before and after its version of March 2025.

create or replace function credits_private.read_stripe_event(
  p_body jsonb
)
  returns credits_private.store_fact[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_type pg_catalog.text := credits_private.require_text(p_body, 'type');
  v_object pg_catalog.jsonb := p_body #> '{data,object}';
  v_metadata pg_catalog.jsonb := coalesce(v_object -> 'metadata', '{}');
  v_lines pg_catalog.jsonb;
  v_line pg_catalog.jsonb;
  v_refund pg_catalog.jsonb;
  v_status pg_catalog.text := v_object ->> 'status';
  v_name pg_catalog.text;
  v_fact credits_private.store_fact;
  v_facts credits_private.store_fact[] := '{}'::credits_private.store_fact[];
begin
  if jsonb_typeof(v_object) is distinct from 'object' then
    perform credits_private.refuse_shape('data.object');
  end if;
  v_fact.store := 'stripe';
  v_fact.environment := case p_body -> 'livemode' when 'true' then 'PRODUCTION' when 'false' then 'SANDBOX' end;
  -- a reference that is no id of a user (a partner's code, say) is nobody's name
  foreach v_name in array credits_private.clean_names(array[
    v_object ->> 'client_reference_id', v_metadata ->> 'user_id',
    v_object #>> '{subscription_details,metadata,user_id}', v_object #>> '{parent,subscription_details,metadata,user_id}'
  ]) loop
    if v_name like '________-____-____-____-____________' then
      v_fact.names := v_fact.names || v_name;
    end if;
  end loop;
  v_fact.names := v_fact.names || credits_private.clean_names(
    array[coalesce(v_object #>> '{customer,id}', v_object ->> 'customer')]
  );
  v_fact.currency := upper(v_object ->> 'currency');
  v_fact.ref := 'changes_nothing';

  if v_type in (
    'checkout.session.completed', 'checkout.session.async_payment_succeeded', 'checkout.session.async_payment_failed'
  ) then
    if v_object ->> 'mode' is distinct from 'payment' then
      v_fact.kind := 'alias';  -- an invoice brings the credits; the session tells whose customer it is
      return array[v_fact];
    end if;
    v_fact.kind := 'payment';
    v_fact.source := 'checkout';
    v_fact.transaction_ids := array_remove(
      array[
        coalesce(v_object #>> '{payment_intent,id}', v_object ->> 'payment_intent'),
        coalesce(v_object #>> '{invoice,id}', v_object ->> 'invoice'),
        credits_private.require_text(v_object, 'id')
      ],
      null
    );
    v_fact.stage := case
      when v_type = 'checkout.session.async_payment_failed' then 1
      when v_object ->> 'payment_status' in ('paid', 'no_payment_required') then 2
      when v_object ->> 'payment_status' = 'unpaid' then 0
    end;
    if v_fact.stage is null then
      perform credits_private.refuse_shape('payment_status');
    end if;
    v_lines := v_object #> '{line_items,data}';
    if v_metadata ? 'product_id' or jsonb_typeof(v_lines) is distinct from 'array' or v_lines = '[]' then
      v_fact.product_id := v_metadata ->> 'product_id';
      v_fact.quantity := credits_private.read_quantity(v_metadata -> 'quantity');
      v_fact.list_cents := (v_object ->> 'amount_subtotal')::bigint;
      v_fact.price_cents := least(v_fact.list_cents, (v_object ->> 'amount_total')::bigint);
      return array[v_fact];
    end if;
    for v_line in select l.line from jsonb_array_elements(v_lines) as l (line) limit 100 loop
      v_fact.product_id := coalesce(v_line #>> '{price,metadata,product_id}', v_line #>> '{price,id}');
      v_fact.quantity := credits_private.read_quantity(v_line -> 'quantity');
      v_fact.list_cents := (v_line ->> 'amount_subtotal')::bigint;
      v_fact.price_cents := least(v_fact.list_cents, (v_line ->> 'amount_total')::bigint);
      v_facts := credits_private.add_line(v_facts, v_fact);
    end loop;

  elsif v_type = 'payment_intent.succeeded' then
    v_fact.transaction_ids := array_remove(
      array[
        credits_private.require_text(v_object, 'id'),
        coalesce(v_object #>> '{invoice,id}', v_object ->> 'invoice'),
        coalesce(v_object #>> '{latest_charge,id}', v_object ->> 'latest_charge')
      ],
      null
    );
    v_fact.product_id := v_metadata ->> 'product_id';
    if v_fact.product_id is null then
      -- its session or invoice says what was bought; this may say that both are one
      v_fact.kind := case when cardinality(v_fact.transaction_ids) > 1 then 'link' else 'nothing' end;
      return array[v_fact];
    end if;
    v_fact.kind := 'payment';
    v_fact.source := 'payment_intent';
    v_fact.stage := 2;
    v_fact.quantity := credits_private.read_quantity(v_metadata -> 'quantity');
    v_fact.price_cents := (v_object ->> 'amount_received')::bigint;
    v_fact.list_cents := v_fact.price_cents;
    v_facts := v_facts || v_fact;

  elsif v_type in ('invoice.paid', 'invoice.payment_succeeded') then
    v_fact.kind := 'payment';
    v_fact.source := 'invoice';
    v_fact.stage := 2;
    v_fact.transaction_ids := array_remove(
      array[
        coalesce(
          v_object #>> '{payment_intent,id}', v_object ->> 'payment_intent',
          v_object #>> '{payments,data,0,payment,payment_intent}'
        ),
        credits_private.require_text(v_object, 'id')
      ],
      null
    );
    v_lines := v_object #> '{lines,data}';
    if jsonb_typeof(v_lines) is distinct from 'array' then
      perform credits_private.refuse_shape('lines.data');
    end if;
    for v_line in select l.line from jsonb_array_elements(v_lines) as l (line) limit 100 loop
      -- a change of plan within a period is prorated: it moves money, and sells no pack
      continue when coalesce(v_line -> 'proration', v_line #> '{parent,subscription_item_details,proration}') = 'true'
        or (v_line ->> 'amount')::bigint < 0
        or v_line -> 'quantity' = '0';
      v_fact.product_id := coalesce(
        v_line #>> '{metadata,product_id}', v_line #>> '{price,id}', v_line #>> '{pricing,price_details,price}',
        v_line #>> '{plan,id}'
      );
      -- metered things come in any number, and are not ours: what is sold is at most 10^12 credits (find_product)
      v_fact.quantity := case
        when jsonb_typeof(v_line -> 'quantity') = 'number' and (v_line -> 'quantity')::numeric between 1000000 and 2147483647
          then (v_line -> 'quantity')::integer
        else credits_private.read_quantity(v_line -> 'quantity')
      end;
      v_fact.list_cents := (v_line ->> 'amount')::bigint;
      v_fact.price_cents := least(v_fact.list_cents, (v_object ->> 'amount_paid')::bigint);
      v_fact.is_trial := v_fact.list_cents = 0
        and coalesce((v_line #>> '{price,unit_amount}')::bigint, (v_line #>> '{plan,amount}')::bigint, 1) > 0;
      -- an item that is billed once has a period of no length
      v_fact.until := case
        when v_line #>> '{period,end}' is distinct from v_line #>> '{period,start}'
          then to_timestamp(least((v_line #>> '{period,end}')::bigint, 253402300799))
      end;
      if jsonb_array_length(v_lines) > 1 then
        v_fact.basis_cents := least((v_object ->> 'subtotal')::bigint, (v_object ->> 'total')::bigint);
      end if;
      v_facts := credits_private.add_line(v_facts, v_fact);
    end loop;

  elsif v_type = 'invoice_payment.paid' then
    v_fact.kind := 'link';
    v_fact.transaction_ids := array_remove(
      array[v_object #>> '{payment,payment_intent}', credits_private.require_text(v_object, 'invoice')], null
    );
    v_facts := v_facts || v_fact;

  elsif v_type in ('charge.refunded', 'refund.created', 'refund.updated', 'refund.failed', 'charge.refund.updated') then
    v_fact.names := '{}';
    v_fact.transaction_ids := array_remove(
      array[
        coalesce(v_object #>> '{payment_intent,id}', v_object ->> 'payment_intent'),
        coalesce(v_object #>> '{charge,id}', v_object ->> 'charge'),
        case when v_type = 'charge.refunded' then credits_private.require_text(v_object, 'id') end
      ],
      null
    );
    if v_type = 'charge.refunded' then
      v_fact.kind := 'refunded';
      v_fact.ref := v_object ->> 'id';
      v_fact.stage := 1;
      v_fact.cents := (v_object ->> 'amount_refunded')::bigint;
      v_fact.basis_cents := (v_object ->> 'amount')::bigint;
      if v_fact.cents is null or v_fact.basis_cents is null then
        perform credits_private.refuse_shape('amount_refunded');
      end if;
      if v_object -> 'refunded' = 'true' then
        v_fact.cents := greatest(v_fact.cents, v_fact.basis_cents);
      end if;
      v_facts := v_facts || v_fact;
      v_lines := v_object #> '{refunds,data}';  -- older versions of the API tell the refunds too
    else
      v_lines := jsonb_build_array(v_object);
    end if;
    if jsonb_typeof(v_lines) = 'array' then
      for v_refund in select l.line from jsonb_array_elements(v_lines) as l (line) limit 100 loop
        v_fact.kind := 'refund';
        v_fact.ref := credits_private.require_text(v_refund, 'id');
        v_fact.cents := (v_refund ->> 'amount')::bigint;
        v_fact.stage := case
          when v_type = 'refund.failed' or v_refund ->> 'status' in ('failed', 'canceled') then 2
          when v_refund ->> 'status' = 'requires_action' then 0
          else 1
        end;
        v_facts := v_facts || v_fact;
      end loop;
    end if;

  elsif starts_with(v_type, 'charge.dispute.') then
    v_fact.names := '{}';
    v_fact.kind := 'dispute';
    v_fact.transaction_ids := array_remove(
      array[
        coalesce(v_object #>> '{payment_intent,id}', v_object ->> 'payment_intent'),
        coalesce(v_object #>> '{charge,id}', v_object ->> 'charge')
      ],
      null
    );
    v_fact.ref := credits_private.require_text(v_object, 'id');
    v_fact.cents := (v_object ->> 'amount')::bigint;
    v_fact.stage := case
      when v_status = 'won' then 5
      when v_type = 'charge.dispute.funds_reinstated' or v_status = 'charge_refunded' then 4
      when v_status = 'lost' then 3
      when v_type = 'charge.dispute.funds_withdrawn' then 2
      when starts_with(v_status, 'warning_') then 0
      else 1
    end;
    v_facts := v_facts || v_fact;

  else
    v_fact.kind := 'nothing';
    v_fact.ref := case
      when v_type ~ '^(account|balance|billing|charge|checkout|customer|invoice|payment|payout|price|product|setup_intent|subscription)'
        then 'changes_nothing'
      else 'unknown_type'
    end;
    v_facts := v_facts || v_fact;
  end if;
  if v_fact.kind not in ('nothing', 'alias') and coalesce(cardinality(v_fact.transaction_ids), 0) = 0 then
    perform credits_private.refuse_shape('payment_intent');
  end if;
  return v_facts;
end;
$$;

comment on function credits_private.read_stripe_event(jsonb) is
  'What an event of Stripe says. Raises 22023 wrong_shape.';

revoke all on function credits_private.read_stripe_event(jsonb) from public, anon, authenticated, service_role;
