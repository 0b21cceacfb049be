-- is_signed: does this header prove that the body comes from who knows the secret?
--
-- Stripe and RevenueCat sign alike: t=<unix seconds>,v1=<hex>[,v1=...], where v1 is the HMAC of <t>.<body>. Other schemes
-- (v0) count for nothing. A timestamp too far off, either way, is refused, so a recorded call cannot be played again later.
-- Every valid secret is tried, so that one can be rolled while calls come in.

create or replace function credits_private.is_signed(
  p_name text,
  p_header text,
  p_body text
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_parts pg_catalog.text[] := array(select btrim(p.part) from unnest(string_to_array(p_header, ',')) as p (part) limit 20);
  v_time pg_catalog.text := (select substr(p.part, 3) from unnest(v_parts) as p (part) where starts_with(p.part, 't=') limit 1);
  v_tolerance bigint := (select s.value::bigint from credits_private.settings as s where s.name = 'webhook_tolerance');
  v_is_signed boolean := false;
  v_expected pg_catalog.text;
  v_secret pg_catalog.text;
  v_given pg_catalog.text;
begin
  if (v_time ~ '^[0-9]{1,12}$' and abs(extract(epoch from credits_private.now()) - v_time::bigint) <= v_tolerance) is not true then
    return false;
  end if;
  foreach v_secret in array credits_private.secrets_of(p_name) loop
    v_expected := encode(
      credits_private.hmac_sha256(convert_to(v_secret, 'UTF8'), convert_to(v_time || '.' || p_body, 'UTF8')), 'hex'
    );
    for v_given in select substr(p.part, 4) from unnest(v_parts) as p (part) where starts_with(p.part, 'v1=') loop
      v_is_signed := credits_private.secrets_match(v_given, v_expected) or v_is_signed;
    end loop;
  end loop;
  return v_is_signed;
end;
$$;

comment on function credits_private.is_signed(text, text, text) is
  'Whether a signature header (t=...,v1=...) fits the body, the clock and a valid secret of this name.';

revoke all on function credits_private.is_signed(text, text, text) from public, anon, authenticated, service_role;
