-- No call of a user takes the id of a user: whom it concerns comes from the token. Calls of services take the
-- id first and end in _for, so that one cannot be taken for the other.

begin;
select plan(4);

select is_empty(
  $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and (has_function_privilege('authenticated', p.oid, 'EXECUTE') or has_function_privilege('anon', p.oid, 'EXECUTE'))
      and (
        'uuid'::regtype = any (p.proargtypes)
        or p.proargnames::text[] && array['user_id', 'p_user_id', 'account_id', 'p_account_id', 'sub']
      )
  $$,
  'Nothing that a user may call takes a uuid or the name of a user.'
);
select is_empty(
  $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p
    where p.pronamespace = 'public'::regnamespace
      and p.proname like '%\_for'
      and (p.proargtypes[0] <> 'uuid'::regtype or p.proargnames[1] <> 'user_id')
  $$,
  'Every call that ends in _for takes user_id first.'
);
select is_empty(
  $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p
    where p.pronamespace = 'public'::regnamespace
      and p.proargnames[1] = 'user_id'
      and p.proname not like '%\_for'
      and p.proname <> 'verify_ledger'
  $$,
  'Every call that takes user_id ends in _for, but for the one that asks about all users too.'
);
select is_empty(
  $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p
    where p.pronamespace = 'credits_private'::regnamespace
      and p.prorettype <> 'trigger'::regtype
      and 'uuid'::regtype = any (p.proargtypes)
      and (p.prosecdef or p.proargtypes[0] <> 'uuid'::regtype)
  $$,
  'A helper that takes a user takes them first, and lends nobody its rights.'
);

select * from finish();
rollback;
