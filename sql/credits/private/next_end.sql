-- next_end: the first end of a lot or of a hold of a user after an instant.
--
-- Lots count while there is something in them, or in a hold that comes back before they end.

create or replace function credits_private.next_end(
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
    )
  );
end;
$$;

comment on function credits_private.next_end(uuid, timestamptz) is
  'The first instant after p_after at which a lot or a hold of the user ends, or null.';

revoke all on function credits_private.next_end(uuid, timestamptz) from public, anon, authenticated, service_role;
