-- A balance row cannot be removed or given to somebody else while its user exists, because its ledger would
-- go with it. That holds for the owner, and under session_replication_role too.

begin;
select plan(16);

insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
create temp table balances_before as select * from public.user_credits;
create temp table ledger_before as select * from public.credit_transactions;

create temp table attempts (place integer, statement text, what text);
insert into attempts
values
  (1, 'delete from public.user_credits', 'delete balances'),
  (2, 'truncate public.user_credits', 'truncate balances'),
  (3, 'truncate public.user_credits, public.credit_transactions', 'truncate balances together with the ledger'),
  (4, 'truncate auth.users cascade', 'truncate users and what hangs on them'),
  (
    5,
    $$
      update public.user_credits
      set user_id = 'fae00000-0000-4000-8000-000000000000'
      where user_id = 'ada00000-0000-4000-8000-000000000000'
    $$,
    'give a balance to somebody else'
  ),
  (6, 'update public.user_credits set user_id = user_id', 'write the user who is there already');

select throws_ok(statement, 'PT403', 'ledger_immutable', format('The owner cannot %s.', what))
from attempts
order by place;

set local session_replication_role = replica;
select throws_ok(statement, 'PT403', 'ledger_immutable', format('As replica the owner cannot %s.', what))
from attempts
order by place;
set local session_replication_role = origin;

select results_eq(
  'select * from public.user_credits order by user_id', 'select * from balances_before order by user_id',
  'The balances are as they were.'
);
select results_eq(
  'select * from public.credit_transactions order by user_id', 'select * from ledger_before order by user_id',
  'The ledger is as it was.'
);

delete from auth.users where id = 'ada00000-0000-4000-8000-000000000000';
select is_empty(
  $$ select * from public.user_credits where user_id = 'ada00000-0000-4000-8000-000000000000' $$,
  'With its user the balance goes.'
);
select is_empty(
  $$ select * from public.credit_transactions where user_id = 'ada00000-0000-4000-8000-000000000000' $$,
  'With the balance the ledger goes.'
);

select * from finish();
rollback;
