-- unswept: what has fallen due for a user by an instant and is not written, summed up.
--
-- What makes a balance right without a sweep: whoever shows one adds this. Lots count with what is in them and in
-- expired holds. Says what settle_due would write, and agrees with it because every operation settles before it
-- acts.

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
    coalesce(sum(d.amount) filter (where d.is_first), 0)::bigint,
    max(d.at) filter (where d.is_first and d.period = 'month'),
    coalesce(sum(d.amount) filter (where d.period = 'month' and d.is_in_force), 0)::bigint,
    least(credits_private.next_end(p_user_id, p_at), min(d.next_at))
  into v_change.credits, v_change.bonus_at, v_change.monthly, v_change.next_at
  from (
    select g.*, g.is_due and row_number() over (partition by g.key, g.is_due order by g.at) = 1 as is_first
    from credits_private.find_grants(p_user_id, p_at) as g
  ) as d;
  select v_change.credits - coalesce(sum(l.remaining), 0)::bigint
  into v_change.credits
  from credits_private.credit_lots as l
  where l.user_id = p_user_id and l.expired_at is null and l.expires_at <= p_at;
  if v_change.freed > 0 then
    select v_change.credits - coalesce(sum(p.amount), 0)::bigint
    into v_change.credits
    from public.credit_holds as h
    join credits_private.hold_lots as p on p.user_id = h.user_id and p.hold_id = h.id
    join credits_private.credit_lots as l on l.user_id = p.user_id and l.seq = p.lot_seq
    where h.user_id = p_user_id and h.status = 'active' and h.expires_at <= p_at and l.expires_at <= p_at;
  end if;
  return v_change;
end;
$$;

comment on function credits_private.unswept(uuid, timestamptz) is
  'How the balance and the holds of a user move once everything that was due at an instant is written.';

revoke all on function credits_private.unswept(uuid, timestamptz) from public, anon, authenticated, service_role;
