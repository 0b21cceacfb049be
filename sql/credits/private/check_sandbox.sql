-- check_sandbox: may this user have credits for a test purchase?
--
-- TestFlight and App Review buy in the sandbox, and so does anybody with a test account: the setting sandbox decides.

create or replace function credits_private.check_sandbox(
  p_user_id uuid
)
  returns void
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_policy pg_catalog.text;
begin
  select s.value into v_policy from credits_private.settings as s where s.name = 'sandbox';
  if v_policy = 'allow'
    or v_policy = 'allow_listed' and p_user_id::pg_catalog.text = any (
      string_to_array((select s.value from credits_private.settings as s where s.name = 'sandbox_users'), ',')
    )
  then
    return;
  end if;
  raise exception using
    errcode = '22023',
    message = 'sandbox_denied',
    detail = json_build_object('sandbox', v_policy),
    hint = 'A test purchase is credited where the setting sandbox allows it: credits-db settings set sandbox allow_listed.';
end;
$$;

comment on function credits_private.check_sandbox(uuid) is
  'Passes a test purchase where the setting sandbox allows it. Raises 22023 sandbox_denied.';

revoke all on function credits_private.check_sandbox(uuid) from public, anon, authenticated, service_role;
