-- How many active holds a user may have is a setting. What has ended does not count, nor what has expired.

begin;
select plan(8);

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
select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'), ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');

-- what a refused call says: its token, and its DETAIL
create function pg_temp.refusal(statement text)
  returns jsonb
  language plpgsql
as $$
declare
  v_detail text;
begin
  execute statement;
  return null;
exception
  when others then
    get stacked diagnostics v_detail = pg_exception_detail;
    return jsonb_build_object(sqlerrm, nullif(v_detail, '')::jsonb);
end;
$$;

select credits_private.set_setting('max_active_holds', '3');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 100);
select public.add_credits_for('bea00000-0000-4000-8000-000000000000', 100);
set local role service_role;
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1, '1 hour', idempotency_key => 'job-' || n) from generate_series(1, 3) as n;
select is(
  pg_temp.refusal($$ select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1) $$), '{"too_many_holds": {"active": 3, "maximum": 3}}', 'The fourth of three is refused, and hears why.'
);
select throws_ok($$ select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1) $$, 'PT429', 'too_many_holds', 'Its state is one that a client waits for.');
select lives_ok($$ select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1, '1 hour', idempotency_key => 'job-3') $$, 'A replay is not counted.');
select lives_ok($$ select public.reserve_credits_for('bea00000-0000-4000-8000-000000000000', 1) $$, 'Others have theirs.');
select public.release_hold_for('ada00000-0000-4000-8000-000000000000', (select id from public.credit_holds where idempotency_key = 'job-1'));
select lives_ok($$ select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1, '1 hour') $$, 'Where one was released there is room.');
select set_config('test.now', '2026-03-01 01:00:00+00', true);
select lives_ok($$ select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1) $$, 'Where one has expired too, swept or not.');
select is((select count(*) from public.credit_holds where status = 'active' and user_id = 'ada00000-0000-4000-8000-000000000000'), 1::bigint, 'The others are over.');
reset role;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
