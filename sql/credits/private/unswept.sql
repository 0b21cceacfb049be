-- unswept: what has fallen due for a user by an instant and is not written, summed up.
--
-- What makes a balance right without a sweep: whoever shows one adds this. Lots count with what is in them and in expired
-- holds. Says what settle_due would write, and agrees with it because every operation settles before it acts.

create or replace function credits_private.unswept(
  p_user_id uuid,
  p_at timestamptz
)
  returns credits_private.due_change
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_change credits_private.due_change;
begin
  select coalesce(sum(h.amount), 0)::bigint
  into v_change.freed
  from public.credit_holds as h
  where h.user_id = p_user_id and h.status = 'active' and h.expires_at <= p_at;
  select
    coalesce(sum(d.amount) filter (where d.is_due), 0)::bigint,
    max(d.at) filter (where d.is_due and d.period = 'month'),
    least(credits_private.next_end(p_user_id, p_at), min(d.next_at))
  into v_change.credits, v_change.bonus_at, v_change.next_at
  from (
    select distinct on (g.key, g.is_due) g.amount, g.at, g.period, g.is_due, min(g.next_at) over () as next_at
    from credits_private.find_grants(p_user_id, p_at) as g
    order by g.key, g.is_due, g.at
  ) as d;
  select v_change.credits - coalesce(sum(l.remaining + f.freed), 0)::bigint
  into v_change.credits
  from credits_private.credit_lots as l
  cross join lateral (
    select coalesce(sum(p.amount), 0) as freed
    from credits_private.hold_lots as p
    join public.credit_holds as h on h.user_id = p.user_id and h.id = p.hold_id
    where p.user_id = p_user_id and p.lot_seq = l.seq and h.status = 'active' and h.expires_at <= p_at
  ) as f
  where l.user_id = p_user_id and l.expires_at <= p_at and (l.expired_at is null or f.freed > 0);
  return v_change;
end;
$$;

comment on function credits_private.unswept(uuid, timestamptz) is
  'How the balance and the holds of a user move once everything that was due at an instant is written.';

revoke all on function credits_private.unswept(uuid, timestamptz) from public, anon, authenticated, service_role;
