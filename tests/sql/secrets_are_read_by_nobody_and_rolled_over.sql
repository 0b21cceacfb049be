-- Secrets are set by the owner and read by no role that a request can have. A new one leaves the old one valid for the overlap,
-- none at all where the old one has leaked.

begin;
select plan(21);

create or replace function credits_private.now()
  returns timestamptz
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  return coalesce(nullif(current_setting('test.now', true), ''), '2030-01-01 00:00:00+00')::timestamptz;
end;
$$;
create function pg_temp.valid()
  returns text[]
  language sql
as $$
  select array(select s from unnest(credits_private.secrets_of('stripe')) as s order by s)
$$;

select is(pg_temp.valid(), '{}', 'As it comes there is none.');
select credits_private.set_secret('stripe', 'first-secret-0123', '1 day');
select is(pg_temp.valid(), '{first-secret-0123}', 'The first is valid.');
select credits_private.set_secret('stripe', 'second-secret-012', '1 day');
select is(pg_temp.valid(), '{first-secret-0123,second-secret-012}', 'Both are, within the overlap.');
select credits_private.set_secret('stripe', 'second-secret-012', '1 day');
select is(pg_temp.valid(), '{first-secret-0123,second-secret-012}', 'The same again changes nothing.');
select credits_private.set_secret('stripe', 'third-secret-0123', '30 days');
select set_config('test.now', '2030-01-02 00:00:00+00', true);
select is(pg_temp.valid(), '{second-secret-012,third-secret-0123}', 'A later one does not prolong the life of the first.');
select credits_private.set_secret('stripe', 'fourth-secret-012', '0');
select is(pg_temp.valid(), '{fourth-secret-012}', 'Without an overlap all older ones end at once.');
select credits_private.set_secret('stripe', 'third-secret-0123', '1 day');
select is(pg_temp.valid(), '{fourth-secret-012,third-secret-0123}', 'An old one can be brought back.');
select set_config('test.now', '2040-01-01 00:00:00+00', true);
select is(pg_temp.valid(), '{third-secret-0123}', 'The newest never ends by itself.');
select is(credits_private.secrets_of('revenuecat'), '{}', 'A secret is one of its name.');

select throws_ok(
  format('select credits_private.set_secret(%L, %L, %L)', name, value, overlap), '22023', 'invalid_argument',
  format('%s is refused.', what)
)
from (
  values
    ('paddle', 'secret-0123456789', '0', 'An unknown name'),
    (null, 'secret-0123456789', '0', 'No name'),
    ('stripe', 'too-short', '0', 'A short secret'),
    ('stripe', repeat('x', 1001), '0', 'A very long secret'),
    ('stripe', 'secret-0123456789 ', '0', 'A secret that was copied with a space'),
    ('stripe', E'secret-0123456789\n', '0', 'A secret that was read with the end of its line'),
    ('stripe', null, '0', 'No secret'),
    ('stripe', 'secret-0123456789', '-1 day', 'A negative overlap'),
    ('stripe', 'secret-0123456789', null, 'No overlap')
) as wrong (name, value, overlap, what);
select is(pg_temp.valid(), '{third-secret-0123}', 'None of these has changed anything.');

create temp table readers as
select r.rolname, c.relname
from pg_catalog.pg_roles as r, pg_catalog.pg_class as c
where r.rolname in ('anon', 'authenticated', 'service_role', 'authenticator')
  and c.oid = 'credits_private.secrets'::regclass
  and (has_table_privilege(r.oid, c.oid, 'select') or has_any_column_privilege(r.oid, c.oid, 'select'));
select is_empty('select * from readers', 'No role of a request can read the table.');
select is_empty(
  $$
    select r.rolname, p.proname
    from pg_catalog.pg_roles as r, pg_catalog.pg_proc as p
    where r.rolname in ('anon', 'authenticated', 'service_role', 'authenticator')
      and p.pronamespace = 'credits_private'::regnamespace
      and p.proname in ('secrets_of', 'set_secret', 'is_signed', 'is_from_revenuecat', 'secrets_match', 'hmac_sha256')
      and has_function_privilege(r.oid, p.oid, 'execute')
  $$,
  'Nor call what reads it.'
);

select * from finish();
rollback;
