-- apply_store_event: does what the facts of an event say.
--
-- Runs in a subtransaction of attempt_store_event: whatever it raises undoes all of it and becomes the reason of the event.
-- Names are learned on the way (find_user), from events that change nothing else too.

create or replace function credits_private.apply_store_event(
  p_event credits_private.store_events,
  p_facts credits_private.store_fact[]
)
  returns credits_private.store_events
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event credits_private.store_events := p_event;
  v_fact credits_private.store_fact;
  v_user_id pg_catalog.uuid;
  v_former pg_catalog.uuid[];
  v_unclaimed pg_catalog.text[];
  v_name pg_catalog.text;
  v_found pg_catalog.uuid;
begin
  v_event.state := 'ignored';
  v_event.reason := 'changes_nothing';
  foreach v_fact in array p_facts loop
    if v_fact.kind not in ('nothing', 'alias', 'transfer')
      and (v_fact.environment in ('PRODUCTION', 'SANDBOX')) is not true
    then
      perform credits_private.refuse_shape('environment');
    end if;
    case v_fact.kind
      when 'nothing' then
        v_user_id := credits_private.find_user(p_event.provider, v_fact.names, false);
        v_event.reason := v_fact.ref;
      when 'alias' then
        v_user_id := credits_private.find_user(p_event.provider, v_fact.names, false);
      when 'payment' then
        v_user_id := coalesce(
          credits_private.find_user(p_event.provider, v_fact.names, true),
          (credits_private.find_claim(v_fact.store, v_fact.environment, v_fact.transaction_ids)).user_id
        );
        if v_user_id is null then
          perform credits_private.refuse_stranger(p_event.provider, v_fact);
        end if;
        -- an invoice may bill for things that are no business of ours, beside one that is
        continue when cardinality(p_facts) > 1 and credits_private.is_not_sold(v_fact, p_facts);
        perform credits_private.record_payment(
          v_user_id, p_event.provider, v_fact,
          jsonb_build_object('event_id', p_event.event_id, 'type', p_event.type), p_event.received_at
        );
        v_event.state := 'processed';
      when 'transfer' then
        if p_event.state = 'processed' then
          return p_event;  -- told again, it would undo the transfers after it
        end if;
        v_user_id := credits_private.find_user(p_event.provider, v_fact.names, true);
        if v_user_id is null then
          perform credits_private.refuse_stranger(p_event.provider, v_fact);
        end if;
        v_former := '{}';
        v_unclaimed := '{}';
        foreach v_name in array v_fact.former_names loop
          v_found := credits_private.find_user(p_event.provider, array[v_name], false);
          if v_found is null then
            v_unclaimed := v_unclaimed || v_name;
          else
            v_former := v_former || v_found;
          end if;
        end loop;
        perform credits_private.transfer_entitlements(
          v_user_id, v_former, v_fact.store, v_fact.environment
        );
        perform credits_private.find_user(
          -- other names of an account that we know stay its own
          p_event.provider, coalesce(v_former[1], v_user_id)::pg_catalog.text || v_unclaimed, false
        );
        v_event.state := 'processed';
      else
        v_user_id := credits_private.record_fact(v_fact);
        v_event.state := 'processed';
        if v_user_id is null then
          v_event.reason := 'before_purchase';
        end if;
        if v_fact.names <> '{}' then
          v_user_id := coalesce(v_user_id, credits_private.find_user(p_event.provider, v_fact.names, false));
        end if;
    end case;

    if v_event.state = 'processed' and v_event.reason = 'changes_nothing' then
      v_event.reason := null;
    end if;
    v_event.user_id := coalesce(v_user_id, v_event.user_id);
  end loop;
  if v_event.user_id is null and credits_private.find_gone(p_event.provider, p_facts[1].names) <> '{}' then
    perform credits_private.refuse_stranger(p_event.provider, p_facts[1]);
  end if;
  return v_event;
end;
$$;

comment on function credits_private.apply_store_event(credits_private.store_events, credits_private.store_fact[]) is
  'Does what the facts of an event say, and returns the event with its state. Raises whatever stands in the way.';

revoke all on function credits_private.apply_store_event(credits_private.store_events, credits_private.store_fact[]) from public, anon, authenticated, service_role;
