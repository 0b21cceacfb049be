-- Every operation that takes an amount refuses null, zero, negative and enormous ones with the same words,
-- before it looks at anything else.

begin;
select plan(22);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
create temp table before as select * from public.user_credits;

create temp table amounts (place integer, amount bigint, what text);
insert into amounts
values
  (1, null, 'null'),
  (2, 0, 'zero'),
  (3, -1, 'minus one'),
  (4, -9223372036854775808, 'the smallest bigint'),
  (5, 1000000000001, 'one more than 10^12'),
  (6, 9223372036854775807, 'the largest bigint');
grant select on amounts to public;

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;

select throws_ok(
  format('select public.consume_credit(%L::bigint)', amount),
  '22023', 'invalid_amount',
  format('A user cannot spend %s.', what)
)
from amounts
order by place;

reset role;
set local role service_role;

select throws_ok(
  format('select public.consume_credit_for(''ada00000-0000-4000-8000-000000000000'', %L::bigint)', amount),
  '22023', 'invalid_amount',
  format('A service cannot spend %s.', what)
)
from amounts
order by place;

select throws_ok(
  format('select public.add_credits_for(''ada00000-0000-4000-8000-000000000000'', %L::bigint)', amount),
  '22023', 'invalid_amount',
  format('A service cannot add %s.', what)
)
from amounts
order by place;

reset role;
select results_eq('select * from public.user_credits', 'select * from before', 'None of them moved the balance.');
select is((select count(*) from public.credit_transactions), 1::bigint, 'None of them is in the ledger.');

set local role service_role;
select lives_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 1000000000000) $$,
  '10^12 credits can be added at once.'
);
select lives_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1000000000000) $$,
  '10^12 credits can be spent at once.'
);

select * from finish();
rollback;
