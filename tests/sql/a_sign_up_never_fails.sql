-- If opening an account goes wrong, the sign-up succeeds all the same, and the first spend of the user opens
-- the account.

begin;
select plan(7);

create function pg_temp.out_of_order()
  returns trigger
  language plpgsql
as $$
begin
  raise exception 'out of order';
end;
$$;
create trigger out_of_order before insert on public.user_credits for each row execute function pg_temp.out_of_order();

set local client_min_messages = error;
select lives_ok(
  $$ insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com') $$,
  'A user can sign up while accounts cannot be opened.'
);
select lives_ok(
  $$
    insert into auth.users (id, is_anonymous) values ('bea00000-0000-4000-8000-000000000000', true);
    update auth.users set is_anonymous = false where id = 'bea00000-0000-4000-8000-000000000000'
  $$,
  'An anonymous user can sign up and convert.'
);
reset client_min_messages;
select is((select count(*) from auth.users), 2::bigint, 'Both users are there.');
select is_empty('select * from public.user_credits', 'Neither has an account yet.');

drop trigger out_of_order on public.user_credits;
select set_config('request.jwt.claims', '{"sub": "ada00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
set local role authenticated;
select is(
  (select balance_after from public.consume_credit()), 2::bigint,
  'The first spend opens the account, with the bonus.'
);

reset role;
select is(
  (select balance_after from public.consume_credit_for('bea00000-0000-4000-8000-000000000000')), 2::bigint,
  'So it does for the user who was anonymous.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
