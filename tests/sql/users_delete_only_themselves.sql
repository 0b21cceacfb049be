-- Who is deleted comes from the token alone. Only a service can name somebody, with delete_user_account_for.

begin;
select plan(10);

-- the tables of a receipt of which something was removed
create function pg_temp.counted(removed jsonb)
  returns jsonb
  language sql
as $$
  select coalesce(jsonb_object_agg(r.key, r.value) filter (where r.value <> '0'), '{}') from jsonb_each(removed) as r
$$;

insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com'),
  ('deb00000-0000-4000-8000-000000000000', 'deb@example.com');

set local role authenticated;
select set_config('request.jwt.claims', '', true);
select throws_ok(
  'select public.delete_user_account()', 'PT401', 'not_authenticated',
  'Nobody is deleted where nobody is signed in.'
);
select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
select throws_ok(
  $$ select public.delete_user_account('bea00000-0000-4000-8000-000000000000') $$,
  '42883', null,
  'A user cannot name somebody else.'
);
select throws_ok(
  $$ select public.delete_user_account_for('bea00000-0000-4000-8000-000000000000') $$,
  '42501', null,
  'A user cannot do what services do.'
);
select throws_ok(
  $$ delete from auth.users where id = 'ada00000-0000-4000-8000-000000000000' $$,
  '42501', null,
  'A user cannot delete from auth.users.'
);
select public.delete_user_account();

reset role;
select results_eq(
  'select user_id, credits_remaining from public.user_credits order by user_id',
  $$
    values
      ('bea00000-0000-4000-8000-000000000000'::uuid, 3::bigint),
      ('deb00000-0000-4000-8000-000000000000', 3)
  $$,
  'Ada has deleted herself and nobody else.'
);

set local role service_role;
select throws_ok(
  'select public.delete_user_account_for(null)', 'PT401', 'not_authenticated',
  'A service has to name somebody.'
);
select throws_ok(
  'select public.delete_user_account()', '42501', null,
  'A service is not signed in as anybody.'
);
select results_eq(
  $$ select credits_written_off, pg_temp.counted(removed) from public.delete_user_account_for('bea00000-0000-4000-8000-000000000000') $$,
  $$
    values (
      3::bigint,
      '{"auth.users": 1, "public.user_credits": 1, "public.credit_transactions": 1}'::jsonb
    )
  $$,
  'A service deletes the user whom it names.'
);
select results_eq(
  $$ select credits_written_off, pg_temp.counted(removed) from public.delete_user_account_for('bea00000-0000-4000-8000-000000000000') $$,
  $$
    values (0::bigint, '{}'::jsonb)
  $$,
  'Called again it removes nothing, and says so.'
);

reset role;
select results_eq(
  'select id from auth.users order by id',
  $$ values ('deb00000-0000-4000-8000-000000000000'::uuid) $$,
  'Deb, whom nobody named, is still there.'
);

select * from finish();
rollback;
