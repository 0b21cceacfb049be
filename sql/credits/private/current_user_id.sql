-- current_user_id: who is asking.
--
-- The first statement of every user RPC. auth.uid() alone fails with a cast error on a sub that is not a
-- uuid (Clerk, Firebase), so the claim is looked at first: no claims, no sub, or a sub that no uuid could
-- be are all the same refusal, PT401. Never answers null.

create or replace function credits_private.current_user_id()
  returns uuid
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_sub text := coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
  );
begin
  if v_sub ~* '^(([0-9a-f]{4}-?){7}[0-9a-f]{4}|\{([0-9a-f]{4}-?){7}[0-9a-f]{4}\})$' then
    return auth.uid();
  end if;
  raise exception using
    errcode = 'PT401',
    message = 'not_authenticated',
    hint = 'Sign in first: this call needs a token whose sub is the id of a user.';
end;
$$;

comment on function credits_private.current_user_id() is
  'The user of this request. Raises PT401 not_authenticated when there is none.';

revoke all on function credits_private.current_user_id() from public, anon, authenticated, service_role;
