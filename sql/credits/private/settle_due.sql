-- settle_due: writes what has fallen due for a user, in the order in which it did.
--
-- Lots expire, holds go free, recurring grants come, each dated at its own instant, so that the ledger reads as if
-- somebody had been there in time. Called under the lock of the balance, by maintenance and by every operation that
-- finds next_due_at in the past. Safe to stop after any number: what is left stays due.

create or replace function credits_private.settle_due(
  p_user_id uuid,
  p_limit integer
)
  returns public.maintenance_report
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
  v_from pg_catalog.timestamptz := '-infinity'::pg_catalog.timestamptz;
  v_at pg_catalog.timestamptz;
  v_report public.maintenance_report := row(0, 0, 1, 0, 0, 0);
  v_hold public.credit_holds;
  v_grant credits_private.due_grant;
  v_row public.credit_transactions;
  v_has_grants boolean;
begin
  -- a sweep of many balances need not ask each of them three times (find_grants)
  select exists (
    select
    from credits_private.recurring_grants as g
    where g.user_id in (p_user_id, '00000000-0000-0000-0000-000000000000')
  )
  into v_has_grants;
  loop
    select h.* into v_hold
    from public.credit_holds as h
    where h.user_id = p_user_id and h.status = 'active' and h.expires_at <= v_now
    order by h.expires_at, h.created_at, h.id
    limit 1;
    if v_has_grants then
      select g.* into v_grant
      from credits_private.find_grants(p_user_id, v_now) as g
      where g.is_due
      order by g.at, g.key
      limit 1;
    end if;
    if v_grant.key is not null then
      -- a holder who was told late (tell_holders) has spent since: rows stay in the order of their dates
      v_grant.at := coalesce(
        (
          select a.updated_at
          from public.user_credits as a
          where a.user_id = p_user_id and a.updated_at > v_grant.at and a.updated_at <= v_now
        ),
        v_grant.at
      );
    end if;
    v_at := least(v_hold.expires_at, v_grant.at, v_now);
    v_report.expirations := v_report.expirations + credits_private.expire_lots(
      p_user_id,
      v_from,
      v_at,
      case
        when p_limit is not null
          then greatest(0, p_limit - v_report.expirations - v_report.holds - v_report.grants)
      end
    );
    exit when v_hold.id is null and v_grant.key is null;
    exit when v_report.expirations + v_report.holds + v_report.grants >= p_limit or p_limit is not null and exists (
      select
      from credits_private.credit_lots as l
      where l.user_id = p_user_id and l.expired_at is null and l.expires_at <= v_at
    );
    if v_grant.key is null or v_hold.expires_at <= v_grant.at then
      perform credits_private.end_hold(v_hold, 'expired', v_at, null);
      v_report.holds := v_report.holds + 1;
      v_report.expirations := v_report.expirations + credits_private.expire_lots(p_user_id, v_at, v_at, null);
    else
      v_row := credits_private.post(
        p_user_id,
        case v_grant.period when 'month' then 'monthly_bonus' else 'bonus' end::public.credit_transaction_type,
        v_grant.amount,
        'Recurring grant ' || v_grant.name,
        jsonb_build_object('grant', v_grant.name, 'period', v_grant.period),
        v_grant.key,
        v_at
      );
      if v_grant.expires_at is not null then
        perform credits_private.make_lot(v_row, v_grant.expires_at);
      end if;
      v_report.grants := v_report.grants + 1;
    end if;
    v_from := v_at;
  end loop;
  perform credits_private.set_due(p_user_id);
  return v_report;
end;
$$;

comment on function credits_private.settle_due(uuid, integer) is
  'Writes what is due for a locked balance, at most so many items of it (null for all), and says what. Raises PT422 balance_limit.';

revoke all on function credits_private.settle_due(uuid, integer) from public, anon, authenticated, service_role;
