-- find_hold: a hold of a user. Absent and somebody else's answer alike.

create or replace function credits_private.find_hold(
  p_user_id uuid,
  p_hold_id uuid
)
  returns public.credit_holds
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_hold public.credit_holds;
begin
  select h.* into v_hold from public.credit_holds as h where h.user_id = p_user_id and h.id = p_hold_id;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'hold_not_found',
      detail = json_build_object('hold_id', p_hold_id),
      hint = 'This user has no such hold.';
  end if;
  return v_hold;
end;
$$;

comment on function credits_private.find_hold(uuid, uuid) is
  'The hold of a user with this id. Raises PT404 hold_not_found.';

revoke all on function credits_private.find_hold(uuid, uuid) from public, anon, authenticated, service_role;
