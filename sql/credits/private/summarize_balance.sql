-- summarize_balance: what explain_balance found, in sentences for a person.

create or replace function credits_private.summarize_balance(
  p_account public.user_credits,
  p_now timestamptz,
  p_types jsonb,
  p_unwritten bigint,
  p_lots jsonb,
  p_holds jsonb,
  p_grants jsonb,
  p_debts jsonb
)
  returns jsonb
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_lines pg_catalog.text[];
begin
  v_lines := array[
    concat(
      'On ', credits_private.say_time(p_now), ' the balance is ', credits_private.say_credits(p_account.credits_remaining),
      case
        when p_account.credits_held > 0 then concat(
          '; ', p_account.credits_held, case when p_account.credits_held = 1 then ' is' else ' are' end, ' held, so ',
          credits_private.say_credits(greatest(p_account.credits_remaining - p_account.credits_held, 0)), ' can be spent'
        )
      end,
      '.'
    )
  ];
  v_lines := v_lines || array(
    select concat(
      initcap(replace(t.key, '_', ' ')), ': ', case when t.value ->> 'credits' like '-%' then '' else '+' end,
      t.value ->> 'credits', ' in ', t.value ->> 'operations',
      case when t.value ->> 'operations' = '1' then ' operation.' else ' operations.' end
    )
    from jsonb_each(p_types) as t
    order by t.key
  );
  if p_unwritten <> 0 then
    v_lines := v_lines || concat(
      'Due since, and written with the next operation: ', case when p_unwritten > 0 then '+' end, p_unwritten, '.'
    );
  end if;
  v_lines := v_lines || array(
    select concat(
      credits_private.say_credits((l.value ->> 'remaining')::bigint),
      case when l.value ->> 'held' <> '0' then concat(' (and ', l.value ->> 'held', ' held)') end,
      ' of the ', l.value ->> 'granted', ' from row ', l.value ->> 'seq', ' (',
      coalesce(l.value ->> 'description', replace(l.value ->> 'type', '_', ' ')),
      case
        when (l.value ->> 'expires_at')::pg_catalog.timestamptz > p_now
          then case when l.value ->> 'remaining' = '1' then ') expires on ' else ') expire on ' end
        else ') expired but for what is held, on '
      end,
      credits_private.say_time((l.value ->> 'expires_at')::pg_catalog.timestamptz), '.'
    )
    from jsonb_array_elements(p_lots) with ordinality as l (value, place)
    order by l.place
  );
  v_lines := v_lines || array(
    select concat(
      credits_private.say_credits((h.value ->> 'amount')::bigint),
      case when h.value ->> 'amount' = '1' then ' is held' else ' are held' end, ' for ' || (h.value ->> 'description'),
      ' until ', credits_private.say_time((h.value ->> 'expires_at')::pg_catalog.timestamptz), ' at the latest.'
    )
    from jsonb_array_elements(p_holds) with ordinality as h (value, place)
    order by h.place
  );
  v_lines := v_lines || array(
    select concat(
      credits_private.say_credits((g.value ->> 'amount')::bigint),
      case when g.value ->> 'amount' = '1' then ' comes every ' else ' come every ' end, g.value ->> 'period', ' (', g.value ->> 'name',
      '), next on ', credits_private.say_time((g.value ->> 'next_at')::pg_catalog.timestamptz), '.'
    )
    from jsonb_array_elements(p_grants) with ordinality as g (value, place)
    order by g.place
  );
  v_lines := v_lines || array(
    select concat(
      'Below zero since row ', d.value ->> 'seq', ' of ',
      credits_private.say_time((d.value ->> 'created_at')::pg_catalog.timestamptz), ': ', replace(d.value ->> 'type', '_', ' '), ' of ',
      credits_private.say_credits(-(d.value ->> 'amount')::bigint), ' (' || (d.value ->> 'description') || ')',
      '. The next credits pay this first.'
    )
    from jsonb_array_elements(p_debts) with ordinality as d (value, place)
    order by d.place desc
  );
  return to_jsonb(v_lines);
end;
$$;

comment on function credits_private.summarize_balance(
  public.user_credits, timestamptz, jsonb, bigint, jsonb, jsonb, jsonb, jsonb
) is
  'A JSON array of sentences about a balance.';

revoke all on function credits_private.summarize_balance(
  public.user_credits, timestamptz, jsonb, bigint, jsonb, jsonb, jsonb, jsonb
) from public, anon, authenticated, service_role;
