-- An idempotency key has 1 to 255 characters of the caller's choice. Keys that begin with credits: are the
-- package's own and refused from everybody, so that nobody can take the key of a bonus in advance.

begin;
select plan(18);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

create temp table wrong (place integer, key text, what text);
insert into wrong
values
  (1, '', 'An empty key'),
  (2, repeat('k', 256), 'A key of 256 characters'),
  (3, 'credits:signup_bonus', 'The key of the signup bonus'),
  (4, 'credits:', 'The prefix alone');
grant select on wrong to public;
create temp table before as select * from public.user_credits;

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select throws_ok(
  format('select public.consume_credit(1, null, ''{}'', %L)', key),
  '22023', 'invalid_idempotency_key',
  what || ' is refused from users.'
)
from wrong
order by place;

reset role;
set local role service_role;
select throws_ok(
  format('select public.consume_credit_for(''ada00000-0000-4000-8000-000000000000'', 1, null, ''{}'', %L)', key),
  '22023', 'invalid_idempotency_key',
  what || ' is refused from services that spend.'
)
from wrong
order by place;
select throws_ok(
  format('select public.add_credits_for(''ada00000-0000-4000-8000-000000000000'', 1, ''bonus'', null, null, ''{}'', %L)', key),
  '22023', 'invalid_idempotency_key',
  what || ' is refused from services that add.'
)
from wrong
order by place;

reset role;
select results_eq('select * from public.user_credits', 'select * from before', 'None of them moved the balance.');

set local role service_role;
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 10);
reset role;
set local role authenticated;
select lives_ok(
  format('select public.consume_credit(1, null, ''{}'', %L)', repeat('k', 255)),
  'A key of 255 characters is accepted.'
);
select lives_ok(
  format('select public.consume_credit(1, null, ''{}'', %L)', repeat('ü', 255)),
  'Characters are counted, not bytes.'
);
select lives_ok(
  $$ select public.consume_credit(1, null, '{}', 'k') $$,
  'A key of one character is accepted.'
);
select lives_ok(
  $$ select public.consume_credit(1, null, '{}', 'my-credits:1') $$,
  'credits: may stand anywhere but at the beginning.'
);
select results_eq(
  'select count(*), count(idempotency_key) from public.credit_transactions where seq > 2',
  'values (4::bigint, 4::bigint)',
  'Each of these was another operation.'
);

select * from finish();
rollback;
