-- set_setting: changes one setting and does at once what it means.
--
-- For the owner (credits-db settings set). user_spending is a privilege, not a flag that somebody would
-- have to look at: off takes EXECUTE on consume_credit from authenticated, on gives it. rpc/consume_credit.sql
-- ends by setting it to what it is, so a migration that replaces the function does not overrule the operator.
-- notify_changes is a trigger, enabled or not. Switching it keeps writers off user_credits for an instant; where one of
-- them is at it for longer than a second, the switch gives up (55P03), since every spend would wait behind it.

create or replace function credits_private.set_setting(
  p_name text,
  p_value text
)
  returns credits_private.settings
  language plpgsql
  volatile
  set search_path = ''
  set lock_timeout = '1s'
as $$
declare
  v_setting credits_private.settings;
begin
  select s.* into v_setting from credits_private.settings as s where s.name = p_name for update;
  if not found then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'name', 'value', p_name),
      hint = 'There is no such setting: credits-db settings list shows all.';
  end if;
  if (
    case v_setting.kind
      when 'integer' then p_value ~ '^[0-9]{1,15}$' and p_value::bigint between v_setting.minimum and v_setting.maximum
      when 'switch' then p_value in ('on', 'off')
      else p_value ~ v_setting.pattern and length(p_value) <= 10000
    end
  ) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'value', 'value', p_value),
      hint = case v_setting.kind
        when 'integer' then format('%s is a whole number from %s to %s.', p_name, v_setting.minimum, v_setting.maximum)
        when 'switch' then format('%s is on or off.', p_name)
        else format('%s matches %s.', p_name, v_setting.pattern)
      end;
  end if;
  update credits_private.settings as s
  set value = p_value
  where s.name = p_name
  returning s.* into v_setting;
  if p_name = 'user_spending' then
    if p_value = 'on' then
      grant execute on function public.consume_credit(bigint, text, jsonb, text) to authenticated;
      grant execute on function credits_private.consume_credit(bigint, text, jsonb, text) to authenticated;
    else
      revoke execute on function public.consume_credit(bigint, text, jsonb, text) from authenticated;
      revoke execute on function credits_private.consume_credit(bigint, text, jsonb, text) from authenticated;
    end if;
  elsif p_name = 'notify_changes' then
    if p_value = 'on' then
      alter table public.user_credits enable trigger notify_changes;
    else
      alter table public.user_credits disable trigger notify_changes;
    end if;
  end if;
  return v_setting;
end;
$$;

comment on function credits_private.set_setting(text, text) is
  'Changes a setting and returns it. Raises 22023 invalid_argument for an unknown name or a value out of bounds, and 55P03 where notify_changes has to wait for longer than a second.';

revoke all on function credits_private.set_setting(text, text) from public, anon, authenticated, service_role;
