-- A balance stays below 2^53. A recurring grant that would take it beyond gives nothing, and neither stops spends of its user
-- nor the maintenance of others.

begin;
select plan(6);

create or replace function credits_private.now()
  returns timestamptz
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  return current_setting('test.now');
end;
$$;

select set_config('test.now', '2026-03-01 00:00:00+00', true);
select credits_private.set_setting('signup_bonus', '3');
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'), ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');

insert into public.credit_transactions (user_id, seq, type, amount, balance_after, created_at)
values ('ada00000-0000-4000-8000-000000000000', 2, 'bonus', 9006999999999999, 9007000000000002, '2026-03-01 00:00:00+00');
update public.user_credits set credits_remaining = 9007000000000002, total_credits = 9007000000000002, last_seq = 2 where user_id = 'ada00000-0000-4000-8000-000000000000';
select public.set_recurring_grant('huge', 1000000000000, 'day', 'ada00000-0000-4000-8000-000000000000');
select public.set_recurring_grant('small', 1, 'day', 'bea00000-0000-4000-8000-000000000000');
set local role service_role;
select ok((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining < 9007199254740992, 'The balance shown is below 2^53.');
select lives_ok('select public.run_maintenance()', 'Maintenance goes on.');
select is((select credits_remaining from public.user_credits where user_id = 'bea00000-0000-4000-8000-000000000000'), 4::bigint, 'Others get what is theirs.');
select lives_ok($$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 1) $$, 'The user can spend.');
select is((public.get_user_credits_for('ada00000-0000-4000-8000-000000000000')).credits_remaining, 9007000000000001::bigint, 'The grant has given nothing.');
reset role;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
