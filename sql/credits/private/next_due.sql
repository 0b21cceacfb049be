-- next_due: the first instant after another at which something of a user falls due.
--
-- Grants that are due and not written count with their own instant where that is later too. Lots count while there is something
-- in them, or in a hold that comes back before they end.

create or replace function credits_private.next_due(
  p_user_id uuid,
  p_after timestamptz
)
  returns timestamptz
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return least(
    (
      select l.expires_at
      from credits_private.credit_lots as l
      where l.user_id = p_user_id
        and l.expired_at is null
        and l.expires_at > p_after
        and (
          l.remaining > 0
          or exists (select from credits_private.hold_lots as h where h.user_id = p_user_id and h.lot_seq = l.seq)
        )
      order by l.expires_at
      limit 1
    ),
    (
      select h.expires_at
      from public.credit_holds as h
      where h.user_id = p_user_id and h.status = 'active' and h.expires_at > p_after
      order by h.expires_at
      limit 1
    ),
    (
      select min(case when g.is_due and g.at > p_after then g.at else g.next_at end)
      from credits_private.find_grants(p_user_id, credits_private.now()) as g
    )
  );
end;
$$;

comment on function credits_private.next_due(uuid, timestamptz) is
  'The first instant after p_after at which a lot, a hold or a grant of the user falls due, or null.';

revoke all on function credits_private.next_due(uuid, timestamptz) from public, anon, authenticated, service_role;
