-- Metadata is a JSON object of at most 4 kB that also prints to little, with numbers that a double can hold:
-- a few bytes of jsonb can name a number of a hundred thousand digits.

begin;
select plan(59);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 97);
create temp table before as select * from public.user_credits;

create temp table refused (place integer, metadata jsonb, what text);
alter table refused alter column metadata set storage external;
insert into refused
values
  (1, null, 'Null'),
  (2, 'null', 'A JSON null'),
  (3, '[]', 'A list'),
  (4, '[{"a": 1}]', 'A list of objects'),
  (5, '"a"', 'A word'),
  (6, '7', 'A number'),
  (7, 'true', 'A truth'),
  (8, jsonb_build_object('a', repeat('x', 4090)), 'An object of more than 4 kB'),
  (9, jsonb_build_object('a', repeat('x', 1000000)), 'An object of a megabyte'),
  (10, '{"a": 1e131071}', 'A number of 131072 digits'),
  (11, '{"a": -1e131071}', 'A negative number of 131072 digits'),
  (12, '{"a": 1e309}', 'A number that no double holds'),
  (13, '{"a": -1e400}', 'A negative number that no double holds'),
  (14, '{"a": {"b": [1, [{"c": 1e131071}]]}}', 'A huge number deep inside'),
  (15, '{"a": [[[[-1e400]]]]}', 'A huge number in lists in lists'),
  (
    16, jsonb_build_object('a', (select jsonb_agg('1e131071'::numeric) from generate_series(1, 200))),
    'Two hundred huge numbers'
  ),
  (17, '{"a": 1e-16383}', 'A number of 16384 digits, nearly all of them zeros'),
  (
    18, jsonb_build_object('a', (select jsonb_agg('0e-16383'::numeric) from generate_series(1, 240))),
    'Two hundred and forty zeros of 16384 digits'
  ),
  (19, jsonb_build_object('a', ('1.' || repeat('0', 16383))::numeric), 'A one with 16383 zeros behind the point');
grant select on refused to public;

create temp table accepted (place integer, metadata jsonb, what text);
alter table accepted alter column metadata set storage external;
insert into accepted
values
  (1, '{}', 'An empty object'),
  (2, '{"pages": 4, "paper": {"size": "A4", "ends": [1.5, -2, null, true, "x"]}, "": "no key"}', 'An ordinary object'),
  (3, '{"a": 1e307, "b": -1e307, "c": 1e-300, "d": 9007199254740993, "e": 0.1}', 'Numbers that a double can hold'),
  (4, jsonb_build_object('a', repeat('x', 4000)), 'An object of just under 4 kB'),
  (5, (repeat('{"a":', 100) || '1' || repeat('}', 100))::jsonb, 'An object in an object, a hundred times'),
  (6, jsonb_build_object('a', (select jsonb_agg(n) from generate_series(1, 200) as n)), 'Two hundred numbers'),
  (7, '{"ключ": "значение", "🔑": "\ud83d\ude80"}', 'Other alphabets'),
  (8, '{"credits_remaining": 1000, "user_id": "bea00000-0000-4000-8000-000000000000"}', 'Words that mean something elsewhere');
grant select on accepted to public;

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select throws_ok(
  format('select public.consume_credit(metadata => (select metadata from pg_temp.refused where place = %s))', place),
  '22023', 'invalid_metadata',
  what || ' is refused from a user.'
)
from refused
order by place;

reset role;
set local role service_role;
select throws_ok(
  format(
    $$
      select public.add_credits_for(
        'ada00000-0000-4000-8000-000000000000', 1, metadata => (select metadata from pg_temp.refused where place = %s)
      )
    $$,
    place
  ),
  '22023', 'invalid_metadata',
  what || ' is refused from a service.'
)
from refused
order by place;

reset role;
select results_eq('select * from public.user_credits', 'select * from before', 'None of these has moved the balance.');

set local role authenticated;
select is(
  (public.consume_credit(1, null, metadata, 'export-' || place)).metadata, metadata,
  what || ' is accepted and stored as it is.'
)
from accepted
order by place;
select is(
  (public.consume_credit(1, null, metadata, 'export-' || place)).seq, place + 2::bigint,
  what || ' is compared as it is: the same call is a replay.'
)
from accepted
order by place;

reset role;
select is((select credits_remaining from public.user_credits), 92::bigint, 'Each of them was charged once.');
select is_empty(
  'select * from public.credit_transactions where octet_length(metadata::text) > 16384',
  'No metadata prints to more than 16 kB.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');
select ok(
  (select clock_timestamp() < transaction_timestamp() + interval '10 seconds'),
  'All this took no time worth mentioning.'
);

select * from finish();
rollback;
