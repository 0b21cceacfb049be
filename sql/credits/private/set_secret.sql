-- set_secret: keeps a secret of a provider, and lets the one before it live on for a while.
--
-- For the owner (credits-db secret set). Setting the present one again changes nothing. With p_overlap 0 the old ones end
-- at once, which is what a leaked secret calls for.

create or replace function credits_private.set_secret(
  p_name text,
  p_value text,
  p_overlap interval
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  if (p_name in ('stripe', 'revenuecat', 'revenuecat_authorization')) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'name', 'value', p_name),
      hint = 'A secret is stripe, revenuecat (its signing secret) or revenuecat_authorization (its static header).';
  end if;
  if (length(p_value) between 16 and 1000 and p_value = btrim(p_value, E' \t\r\n')) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'value', 'length', length(p_value)),
      hint = 'A secret has 16 to 1000 characters and no space around it.';
  end if;
  if (p_overlap >= interval '0') is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'overlap', 'value', p_overlap),
      hint = 'The overlap is how long older secrets stay valid: 0 or more.';
  end if;
  delete from credits_private.secrets as s where s.name = p_name and s.valid_until <= v_now;
  update credits_private.secrets as s
  set valid_until = least(s.valid_until, v_now + p_overlap)
  where s.name = p_name and s.value <> p_value;
  insert into credits_private.secrets (name, value, added_at)
  values (p_name, p_value, v_now)
  on conflict (name, value) do update set valid_until = null;
end;
$$;

comment on function credits_private.set_secret(text, text, interval) is
  'Keeps a secret; older ones of the name are valid for the overlap yet. Raises 22023 invalid_argument.';

revoke all on function credits_private.set_secret(text, text, interval) from public, anon, authenticated, service_role;
