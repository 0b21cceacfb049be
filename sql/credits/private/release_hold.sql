-- release_hold: the engine of release_hold_for.
--
-- Giving back what is free already is no error: a job that failed late need not know whether time was faster.

create or replace function credits_private.release_hold(
  p_user_id uuid,
  p_hold_id uuid
)
  returns public.credit_holds
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_hold public.credit_holds;
begin
  perform credits_private.lock_account(p_user_id);
  v_hold := credits_private.find_hold(p_user_id, p_hold_id);
  if v_hold.status = 'active' then
    v_account := credits_private.settle_account(p_user_id);
    v_hold := credits_private.find_hold(p_user_id, p_hold_id);
    if v_hold.status = 'active' then
      v_hold := credits_private.end_hold(
        v_hold,
        'released',
        least(credits_private.now(), v_account.next_due_at - pg_catalog.interval '1 microsecond'),
        null
      );
      perform credits_private.expire_lots(p_user_id, v_hold.ended_at, v_hold.ended_at, null);
    end if;
  elsif v_hold.status = 'captured' then
    perform credits_private.refuse_hold(v_hold);
  end if;
  return v_hold;
end;
$$;

comment on function credits_private.release_hold(uuid, uuid) is
  'Gives a hold back and returns it. Raises PT404 hold_not_found or account_not_found, PT409 hold_not_active where it was captured, and PT410 account_closed.';

revoke all on function credits_private.release_hold(uuid, uuid) from public, anon, authenticated, service_role;
