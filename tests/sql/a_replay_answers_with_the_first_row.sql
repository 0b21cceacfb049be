-- A call that is sent again with its idempotency key gets the answer of the first call, whatever has
-- happened in between, and takes or gives nothing.

begin;
select plan(9);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

-- the answers in the order in which they came
create temp table answers (place integer, entry public.credit_transactions);
grant select, insert on answers to public;

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
insert into answers select 1, public.consume_credit(1, 'An export', '{"pages": 4}', 'export-1');
insert into answers select 2, public.consume_credit(1, 'An export', '{"pages": 4}', 'export-1');
select is(
  (select array_agg(distinct entry) from answers),
  (select array[entry] from answers where place = 1),
  'A spend that is sent again at once gets the first answer.'
);

select public.consume_credit(1);
insert into answers select 3, public.consume_credit(1, 'An export', '{"pages": 4}', 'export-1');
select is(
  (select array_agg(distinct entry) from answers),
  (select array[entry] from answers where place = 1),
  'After another spend the answer is still the first, with the balance of then.'
);

select public.consume_credit(1);
select is((select credits_remaining from public.user_credits), 0::bigint, 'Now the balance is drained.');
insert into answers select 4, public.consume_credit(1, 'An export', '{"pages": 4}', 'export-1');
select is(
  (select array_agg(distinct entry) from answers),
  (select array[entry] from answers where place = 1),
  'At a drained balance the answer is still the first.'
);
select throws_ok(
  $$ select public.consume_credit(1, 'An export', '{"pages": 4}', 'export-2') $$,
  'PT402', 'insufficient_credits',
  'A new key at a drained balance is refused.'
);

reset role;
truncate answers;
set local role service_role;
insert into answers
select n, public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, 'purchase', null, 'A pack', '{"order": 7}', 'order-7')
from generate_series(1, 2) as n;
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 2);
insert into answers
select 3, public.add_credits_for('ada00000-0000-4000-8000-000000000000', 5, 'purchase', null, 'A pack', '{"order": 7}', 'order-7');
select is(
  (select row(count(*), count(distinct entry), min((entry).balance_after))::text from answers),
  '(3,1,5)',
  'Credits that are added three times under one key are added once, with one answer.'
);
select is(
  (select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1, 'An export', '{"pages": 4}', 'export-1')),
  (select t from public.credit_transactions as t where t.idempotency_key = 'export-1'),
  'A service that repeats the call of the user gets the answer of the user.'
);

reset role;
select results_eq(
  'select credits_remaining, last_seq from public.user_credits',
  'values (3::bigint, 6::bigint)',
  'All in all each operation has counted once.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
