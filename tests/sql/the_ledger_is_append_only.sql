-- Nobody changes or removes a ledger row: not a user, not a service, and not the owner either, whose triggers
-- fire also where session_replication_role switches others off.

begin;
select plan(27);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1, null, '{}', 'export-1');
create temp table before as select * from public.credit_transactions;

create temp table attempts (place integer, statement text, what text);
insert into attempts
values
  (1, 'update public.credit_transactions set amount = amount + 1', 'change an amount'),
  (2, 'update public.credit_transactions set description = null', 'change a description'),
  (3, 'update public.credit_transactions set seq = seq where seq = 2', 'write what is there already'),
  (4, 'delete from public.credit_transactions', 'delete all rows'),
  (5, 'delete from public.credit_transactions where seq = 2', 'delete the newest row'),
  (6, 'truncate public.credit_transactions', 'truncate the ledger'),
  (
    7,
    $$
      insert into public.credit_transactions (user_id, seq, amount, balance_after, created_at, type)
      values ('ada00000-0000-4000-8000-000000000000', 2, 1, 4, now(), 'bonus')
      on conflict (user_id, seq) do update set amount = 1
    $$,
    'change a row by inserting it again'
  );
grant select on attempts to public;

select throws_ok(statement, 'PT403', 'ledger_immutable', format('The owner cannot %s.', what))
from attempts
order by place;

set local session_replication_role = replica;
select throws_ok(statement, 'PT403', 'ledger_immutable', format('As replica the owner cannot %s.', what))
from attempts
order by place;
set local session_replication_role = origin;

set local role service_role;
select throws_ok(statement, '42501', null, format('A service cannot %s.', what))
from attempts
where place <= 6
order by place;

reset role;
select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select throws_ok(statement, '42501', null, format('A user cannot %s.', what))
from attempts
where place <= 6
order by place;

reset role;
select results_eq(
  'select * from public.credit_transactions order by seq', 'select * from before order by seq',
  'The ledger is as it was.'
);

select * from finish();
rollback;
