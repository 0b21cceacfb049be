-- No role that a request can have changes a balance, the ledger or a guard other than through a call; the
-- answer of Postgres is always the same lack of privilege. Services may insert six columns into the ledger.

begin;
select plan(58);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
create temp table balance_before as select * from public.user_credits;
create temp table ledger_before as select * from public.credit_transactions;

create temp table attempts (place integer, statement text, what text);
insert into attempts
values
  (1, 'update public.user_credits set credits_remaining = 1000, total_credits = 1000', 'raise a balance'),
  (2, 'update public.user_credits set credits_held = 0', 'release held credits'),
  (3, $$ insert into public.user_credits (user_id) values ('fae00000-0000-4000-8000-000000000000') $$, 'insert a balance'),
  (4, 'delete from public.user_credits', 'delete a balance'),
  (5, 'truncate public.user_credits cascade', 'truncate balances'),
  (6, 'select * from public.user_credits for update', 'lock a balance'),
  (7, 'lock table public.user_credits in exclusive mode', 'lock the table of balances'),
  (
    8,
    $$
      merge into public.user_credits as a
      using (select 'ada00000-0000-4000-8000-000000000000'::uuid as user_id) as s on s.user_id = a.user_id
      when matched then update set alert_below = 1
    $$,
    'merge into balances'
  ),
  (9, 'update public.credit_transactions set amount = 1000', 'raise an amount'),
  (10, 'delete from public.credit_transactions', 'delete ledger rows'),
  (11, 'truncate public.credit_transactions', 'truncate the ledger'),
  (12, 'alter table public.user_credits disable row level security', 'switch row level security off'),
  (13, 'alter table public.credit_transactions disable trigger keep_ledger', 'switch a guard off'),
  (14, 'drop trigger keep_ledger on public.credit_transactions', 'drop a guard'),
  (15, 'create policy everything on public.user_credits using (true)', 'write a policy'),
  (
    16,
    $$
      create trigger mine
        before update on public.credit_transactions
        for each row
        execute function suppress_redundant_updates_trigger()
    $$,
    'write a trigger'
  ),
  (17, 'set local session_replication_role = replica', 'switch triggers off'),
  (18, 'create table public.mine (id integer)', 'create a table'),
  (
    19,
    $$
      insert into public.credit_transactions (user_id, type, amount)
      values ('ada00000-0000-4000-8000-000000000000', 'bonus', 1000)
    $$,
    'insert a ledger row'
  );
grant select on attempts to public;

set local role anon;
select throws_ok(statement, '42501', null, format('anon cannot %s.', what)) from attempts order by place;

reset role;
select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select throws_ok(statement, '42501', null, format('authenticated cannot %s.', what)) from attempts order by place;

reset role;
set local role service_role;
select throws_ok(statement, '42501', null, format('service_role cannot %s.', what))
from attempts
where place < 19
order by place;

reset role;
select results_eq('select * from public.user_credits', 'select * from balance_before', 'The balance is as it was.');
select results_eq('select * from public.credit_transactions', 'select * from ledger_before', 'The ledger is as it was.');

select * from finish();
rollback;
