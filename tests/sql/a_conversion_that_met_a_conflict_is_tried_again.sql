-- An anonymous user who converts gets the bonus in the same transaction, and nothing later would grant it. So
-- where a conflict with another transaction stands in the way, the conversion fails with it, for whoever asked
-- to try again; a sign-up does not, since the first spend opens the account.

begin;
select plan(8);

insert into auth.users (id, is_anonymous) values ('ada00000-0000-4000-8000-000000000000', true);

create function pg_temp.conflict()
  returns trigger
  language plpgsql
as $$
begin
  raise exception using errcode = current_setting('test.conflict');
end;
$$;
create trigger conflict before update on public.user_credits for each row execute function pg_temp.conflict();

set local client_min_messages = error;
select set_config('test.conflict', '40001', true);
select throws_ok(
  'update auth.users set is_anonymous = false', '40001', null,
  'A serialization failure is passed on.'
);
select set_config('test.conflict', '40P01', true);
select throws_ok(
  'update auth.users set is_anonymous = false', '40P01', null,
  'A deadlock is passed on.'
);
select set_config('test.conflict', '55P03', true);
select throws_ok(
  'update auth.users set is_anonymous = false', '55P03', null,
  'A lock that was not to be had is passed on.'
);
select is((select is_anonymous from auth.users), true, 'The user has not converted.');
select lives_ok(
  $$ insert into auth.users (id, email) values ('bea00000-0000-4000-8000-000000000000', 'bea@example.com') $$,
  'A sign-up that meets a conflict succeeds.'
);

drop trigger conflict on public.user_credits;
reset client_min_messages;
update auth.users set is_anonymous = false where id = 'ada00000-0000-4000-8000-000000000000';
select results_eq(
  $$ select credits_remaining, last_seq from public.user_credits where user_id = 'ada00000-0000-4000-8000-000000000000' $$,
  'values (3::bigint, 1::bigint)',
  'Tried again, the conversion brings the bonus.'
);
select is(
  (select balance_after from public.consume_credit_for('bea00000-0000-4000-8000-000000000000')), 2::bigint,
  'The first spend opens the account of the sign-up.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
