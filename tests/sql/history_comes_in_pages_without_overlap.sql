-- get_transaction_history answers with the newest rows first; the next page begins below the last seq of this
-- one, so pages neither overlap nor skip, whatever is posted meanwhile.

begin;
select plan(20);

insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', n) from generate_series(1, 4) as n;
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', n) from generate_series(1, 2) as n;

select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;

select results_eq(
  'select seq from public.get_transaction_history(3)', 'values (7::bigint), (6), (5)',
  'The first page has the newest rows, newest first.'
);
reset role;
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 1);
set local role authenticated;
select results_eq(
  'select seq from public.get_transaction_history(3, 5)', 'values (4::bigint), (3), (2)',
  'The second page continues below, though a row was posted in between.'
);
select results_eq(
  'select seq from public.get_transaction_history(3, 2)', 'values (1::bigint)',
  'The last page has what is left.'
);
select is_empty('select seq from public.get_transaction_history(3, 1)', 'Below the first row there is nothing.');
select results_eq(
  'select * from public.get_transaction_history()',
  $$ select * from public.credit_transactions where user_id = 'ada00000-0000-4000-8000-000000000000' order by seq desc $$,
  'Without arguments the rows are those of the ledger.'
);

select results_eq(
  $$ select seq from public.get_transaction_history(type => 'consumption') $$, 'values (7::bigint), (6)',
  'One type alone can be asked for.'
);
select results_eq(
  $$ select seq from public.get_transaction_history(2, 5, 'bonus') $$, 'values (4::bigint), (3)',
  'One type comes in pages too.'
);
select is_empty(
  $$ select seq from public.get_transaction_history(type => 'clawback') $$,
  'A type without rows has an empty history.'
);

reset role;
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 1) from generate_series(1, 60);
set local role authenticated;
select is(
  (select count(*) from public.get_transaction_history()), 50::bigint,
  'A page has 50 rows where nothing else is said.'
);
select is(
  (select count(*) from public.get_transaction_history(500)), 68::bigint,
  'A page may have 500 rows.'
);
select throws_ok(
  format('select * from public.get_transaction_history(%L::integer)', page_size),
  '22023', 'invalid_argument',
  format('A page cannot have %s rows.', coalesce(page_size::text, 'null'))
)
from unnest(array[0, -1, 501, 2147483647, null]) as page_size;

select set_config('request.jwt.claims', '{"sub": "bea00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
select results_eq(
  'select user_id, seq from public.get_transaction_history()',
  $$ values ('bea00000-0000-4000-8000-000000000000'::uuid, 1::bigint) $$,
  'Bea has a history of her own.'
);

reset role;
set local role service_role;
select results_eq(
  $$ select seq, type::text from public.get_transaction_history_for('ada00000-0000-4000-8000-000000000000', 1, 8, 'consumption') $$,
  $$ values (7::bigint, 'consumption') $$,
  'A service asks for the same of a user whom it names.'
);
select is(
  (select count(*) from public.get_transaction_history_for('ada00000-0000-4000-8000-000000000000')), 50::bigint,
  'A page of a service has 50 rows too where nothing else is said.'
);
select throws_ok(
  $$ select * from public.get_transaction_history_for('ada00000-0000-4000-8000-000000000000', 501) $$,
  '22023', 'invalid_argument',
  'A page of a service has the same limit.'
);
select results_eq(
  $$
    select public.id(t)
    from public.get_transaction_history_for('bea00000-0000-4000-8000-000000000000') as t
  $$,
  $$ values ('bea00000-0000-4000-8000-000000000000/1') $$,
  'Each row has one word that names it.'
);

select * from finish();
rollback;
