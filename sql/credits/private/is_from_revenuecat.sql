-- is_from_revenuecat: does RevenueCat vouch for this call, in every way that was set up?
--
-- Its signing secret proves the body and the time; its static Authorization value proves only that the caller knows it.
-- Where both are set both are asked for; where none is, nobody comes in.

create or replace function credits_private.is_from_revenuecat(
  p_headers jsonb,
  p_body text
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_header pg_catalog.text := (select s.value from credits_private.settings as s where s.name = 'revenuecat_signature_header');
  v_signing pg_catalog.text[] := credits_private.secrets_of('revenuecat');
  v_static pg_catalog.text[] := credits_private.secrets_of('revenuecat_authorization');
  v_is_known boolean := v_static = '{}';
  v_secret pg_catalog.text;
begin
  if v_signing = '{}' and v_static = '{}' then
    return false;
  end if;
  foreach v_secret in array v_static loop
    v_is_known := credits_private.secrets_match(p_headers ->> 'authorization', v_secret) or v_is_known;
  end loop;
  return v_is_known and (v_signing = '{}' or credits_private.is_signed('revenuecat', p_headers ->> v_header, p_body));
end;
$$;

comment on function credits_private.is_from_revenuecat(jsonb, text) is
  'Whether a call carries every proof of RevenueCat that was set up; false where none was.';

revoke all on function credits_private.is_from_revenuecat(jsonb, text) from public, anon, authenticated, service_role;
