-- Who is asking comes from the claim sub of the token. Where it is missing, or could not be the id of a user,
-- every call of a user answers PT401; a uuid counts in every spelling that Postgres knows.

begin;
select plan(33);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

-- whom the database takes the bearer of a token with these claims for
create function pg_temp.bearer_of(claims text)
  returns uuid
  language plpgsql
as $$
begin
  perform set_config('request.jwt.claims', claims, true);
  return (public.get_user_credits()).user_id;
end;
$$;

set local role authenticated;
select set_config('request.jwt.claims', '', true);
select throws_ok(statement, 'PT401', 'not_authenticated', format('Without claims %s is refused.', what))
from (
  values
    ('select public.consume_credit()', 'consume_credit'),
    ('select public.get_user_credits()', 'get_user_credits'),
    ('select * from public.get_transaction_history()', 'get_transaction_history'),
    ($$ select * from public.get_operation('export-1') $$, 'get_operation'),
    ($$ select public.get_usage('2000-01-01') $$, 'get_usage'),
    ('select public.delete_user_account()', 'delete_user_account')
) as calls (statement, what);

select throws_ok(
  format('select pg_temp.bearer_of(%L)', claims),
  'PT401', 'not_authenticated',
  format('%s: nobody is signed in.', what)
)
from (
  values
    ('{}', 'Claims without sub'),
    ('{"role": "authenticated", "aud": "authenticated"}', 'Claims with a role alone'),
    ('{"sub": null}', 'A sub of null'),
    ('{"sub": ""}', 'An empty sub'),
    ('{"sub": "user_2abcDEF"}', 'A sub of another kind'),
    ('{"sub": "Zk3kqX0GkYVh0mJ5y8W2r9T1uPq1"}', 'A sub of 28 letters'),
    ('{"sub": 7}', 'A number for a sub'),
    ('{"sub": ["ada00000-0000-4000-8000-000000000000"]}', 'A list for a sub'),
    ('{"sub": "ada00000-0000-4000-8000-00000000000"}', 'A sub that is one digit short'),
    ('{"sub": "ada00000-0000-4000-8000-0000000000000"}', 'A sub that is one digit long'),
    ('{"sub": "ada00000-0000-4000-8000-00000000000g"}', 'A sub with a letter that is no digit'),
    ('{"sub": "ada00000-0000-4000-8000-000000000000 "}', 'A sub with a space behind'),
    ('{"sub": "ada00000-0000-4000-8000-000000000000\n"}', 'A sub with a line end behind'),
    ('{"sub": "{ada00000-0000-4000-8000-000000000000"}', 'A sub with half of its braces'),
    ('{"sub": "''; select 1; --"}', 'A sub that is SQL'),
    ('{"SUB": "ada00000-0000-4000-8000-000000000000"}', 'A sub in capital letters'),
    ('[]', 'An empty list of claims'),
    ('["ada00000-0000-4000-8000-000000000000"]', 'A list of claims'),
    ('"ada00000-0000-4000-8000-000000000000"', 'A word for claims'),
    ('7', 'A number for claims'),
    ('null', 'Claims of null')
) as tokens (claims, what);

select is(pg_temp.bearer_of(claims), 'ada00000-0000-4000-8000-000000000000'::uuid, what)
from (
  values
    ('{"sub": "ada00000-0000-4000-8000-000000000000"}', 'A sub that is the id of a user is the user.'),
    ('{"sub": "ADA00000-0000-4000-8000-000000000000"}', 'In capital letters it is the same user.'),
    ('{"sub": "{ada00000-0000-4000-8000-000000000000}"}', 'In braces it is the same user.'),
    ('{"sub": "ada00000000040008000000000000000"}', 'Without hyphens it is the same user.')
) as tokens (claims, what);

select set_config('request.jwt.claims', '', true);
select set_config('request.jwt.claim.sub', 'ada00000-0000-4000-8000-000000000000', true);
select is(
  (public.get_user_credits()).user_id, 'ada00000-0000-4000-8000-000000000000'::uuid,
  'The older form, one setting for each claim, is understood.'
);
select set_config('request.jwt.claim.sub', '', true);
select throws_ok(
  'select public.consume_credit()', 'PT401', 'not_authenticated',
  'Once both forms are empty nobody is signed in.'
);

select * from finish();
rollback;
