-- current_user_id: who is asking.
--
-- The first statement of every user RPC. The user is who auth.uid() says, read here because auth.uid() fails
-- with a cast error on a sub that is no uuid (Clerk, Firebase): no claims, no sub, or a sub that no uuid could
-- be are all the same refusal, PT401. Types are qualified here and in every body, because an empty search_path
-- still finds temporary types first, and a temporary domain named text would run its check as the owner.

create or replace function credits_private.current_user_id()
  returns uuid
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_sub pg_catalog.text := coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'sub'
  );
begin
  -- the usual form passes without the pattern, which would cost more than all else on the way to the spend
  if (v_sub like '________-____-____-____-____________' and translate(v_sub, '0123456789abcdef', '') = '----')
    or v_sub ~* '^(([0-9a-f]{4}-?){7}[0-9a-f]{4}|\{([0-9a-f]{4}-?){7}[0-9a-f]{4}\})$'
  then
    return v_sub::pg_catalog.uuid;
  end if;
  raise exception using
    errcode = 'PT401',
    message = 'not_authenticated',
    detail = '{}',
    hint = 'Sign in first: this call needs a token whose sub is the id of a user.';
end;
$$;

comment on function credits_private.current_user_id() is
  'The user of this request. Raises PT401 not_authenticated when there is none.';

revoke all on function credits_private.current_user_id() from public, anon, authenticated, service_role;
