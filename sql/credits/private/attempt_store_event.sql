-- attempt_store_event: tries an event, and puts down what came of it.
--
-- The effect runs in a subtransaction: whatever goes wrong, a timeout included, undoes the effect and leaves an event that
-- says why, for the next call or for maintenance. A deadlock is tried again at once. Only a serialization failure is
-- raised, since a transaction that cannot see the present cannot put anything down either; the store sends again.
-- A body about people who have all left is not kept; of others, whoever has left is taken out, and their address.

create or replace function credits_private.attempt_store_event(
  p_event credits_private.store_events,
  p_document jsonb
)
  returns credits_private.store_events
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event credits_private.store_events := p_event;
  v_facts credits_private.store_fact[] := '{}'::credits_private.store_fact[];
  v_names pg_catalog.text[];
  v_gone pg_catalog.text[];
  v_is_locked boolean := false;
  v_state pg_catalog.text;
  v_message pg_catalog.text;
  v_detail pg_catalog.text;
begin
  v_event.attempts := p_event.attempts + 1;
  for v_attempt in 1 .. 6 loop
    begin
      if p_document is null then
        perform credits_private.refuse_shape('body');
      end if;
      v_facts := case p_event.provider
        when 'stripe' then credits_private.read_stripe_event(p_document)
        else credits_private.read_revenuecat_event(p_document)
      end;
      v_event.store := v_facts[1].store;
      v_event.environment := v_facts[1].environment;
      v_event.transaction_id := v_facts[1].transaction_ids[1];
      v_event.product_id := v_facts[1].product_id;
      v_event := credits_private.apply_store_event(v_event, v_facts);
      v_event.details := '{}';
      exit;
    exception
      when query_canceled or others then
        get stacked diagnostics
          v_state = returned_sqlstate,
          v_message = message_text,
          v_detail = pg_exception_detail;
        if v_state = '40001' then
          raise;
        end if;
        continue when v_state = '40P01' and v_attempt < 5;
        if v_message = 'unknown_user' and not v_is_locked then
          perform credits_private.lock_names(v_facts[1].names);
          v_is_locked := true;
          continue;  -- they may have signed up just now
        end if;
        v_event.state := case
          when v_message in ('unknown_user', 'account_not_found', 'ambiguous_user', 'unmapped_transaction') then 'parked'
          when v_message in ('sandbox_denied', 'account_closed') then 'ignored'
          when v_message in (
            'unknown_product', 'wrong_shape', 'price_mismatch', 'purchase_conflict', 'invalid_amount', 'balance_limit'
          ) then 'failed'
          -- a body that is JSON but holds what Postgres has no value for
          when v_state in ('22P02', '22P05', '22003', '22023', '22007', '22008', '54000') then 'failed'
          else 'pending'
        end::public.store_event_state;
        v_event.reason := case
          when v_message ~ '^[a-z_]+$' and v_state ~ '^(PT...|22023)$' then v_message
          when v_event.state = 'failed' then 'wrong_shape'
          else 'error'
        end;
        v_event.details := case
          when v_event.reason in ('error', 'wrong_shape') and v_state <> '22023'
            then jsonb_build_object('sqlstate', v_state, 'message', left(v_message, 500))
          else coalesce(nullif(v_detail, ''), '{}')::pg_catalog.jsonb
        end;
        exit;
    end;
  end loop;

  v_event.processed_at := credits_private.now();
  v_event.retry_at := case
    when v_event.state in ('pending', 'parked')
      then v_event.processed_at + least(interval '1 minute' * power(2, least(v_event.attempts, 20) - 1), interval '1 day')
  end;
  if p_event.retry_at is not null or p_event.attempts > 0 then
    delete from credits_private.store_event_names as n
    where n.provider = v_event.provider and n.event_id = v_event.event_id;
  end if;
  -- all facts of an event name the same people
  v_names := coalesce(v_facts[1].names || v_facts[1].former_names, '{}');
  v_gone := credits_private.find_gone(v_event.provider, v_names || credits_private.names_in(v_event.body));
  if v_event.reason = 'account_closed'
    or v_event.user_id is null and v_event.state not in ('pending', 'parked') and v_gone <> '{}'
  then
    v_event.body_sha256 := encode(sha256(convert_to(v_event.body::pg_catalog.text, 'UTF8')), 'hex');
    v_event.body := null;
    return v_event;
  end if;
  v_gone := v_gone || credits_private.find_gone_addresses(credits_private.names_in(v_event.body));
  if v_gone <> '{}' then
    -- stored before, or about to be
    update credits_private.store_events as e
    set body = credits_private.scrub_body(e.body, v_gone)
    where e.provider = v_event.provider and e.event_id = v_event.event_id;
    v_event.body := credits_private.scrub_body(v_event.body, v_gone);
  end if;
  perform credits_private.name_store_event(
    v_event, array(select n.name from unnest(v_names) as n (name) where n.name <> all (v_gone) and lower(n.name) <> all (v_gone))
  );
  return v_event;
end;
$$;

comment on function credits_private.attempt_store_event(credits_private.store_events, jsonb) is
  'Tries an event and returns it with its state. Raises 40001 alone.';

revoke all on function credits_private.attempt_store_event(credits_private.store_events, jsonb) from public, anon, authenticated, service_role;
