-- due_by: something of this user will fall due at an instant; see that it is not missed.
--
-- The caller holds the lock of the balance. Only ever brings next_due_at forward: too early costs a look, too late
-- would let expired credits be spent.

create or replace function credits_private.due_by(
  p_user_id uuid,
  p_at timestamptz
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  update public.user_credits as a
  set next_due_at = p_at
  where a.user_id = p_user_id
    and (a.next_due_at is null or a.next_due_at > p_at);
  if found then
    insert into credits_private.due_accounts as d (user_id, due_at)
    values (p_user_id, p_at)
    on conflict (user_id) do update
    set due_at = excluded.due_at;
  end if;
end;
$$;

comment on function credits_private.due_by(uuid, timestamptz) is
  'Brings next_due_at of a locked balance forward to an instant, where it is later.';

revoke all on function credits_private.due_by(uuid, timestamptz) from public, anon, authenticated, service_role;
