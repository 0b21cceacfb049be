-- A hold is captured, released or expires, once. The same capture again is the same row, a release again or after the
-- expiry the same hold; anything else hears in which state it is.

begin;
select plan(26);

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
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

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

select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 50);
create temp table holds as
select name, (public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 5, '1 hour', name, '{}', name)).id
from unnest(array['captured', 'keyless', 'released', 'expired', 'swept']) as names (name);
grant select on holds to service_role;
create function pg_temp.hold(name text) returns uuid language sql as $$ select h.id from pg_temp.holds as h where h.name = hold.name $$;
set local role service_role;

select is((public.capture_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('captured'), 3, 'Done', '{"n": 1}', 'done-1')).seq, 2::bigint, 'A hold is captured.');
select public.capture_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('keyless'));
select public.release_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('released'));
create temp table before as select a.*, (select jsonb_agg(h order by h.id) from public.credit_holds as h) as holds from public.user_credits as a;
select is((public.capture_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('captured'), 3, 'Done', '{"n": 1}', 'done-1')).seq, 2::bigint, 'With the same key it is the same row.');
select is((public.release_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('released'))).status::text, 'released', 'A release again is the same hold.');
select throws_ok(
  format('select public.capture_hold_for(%L, pg_temp.hold(%L), %L, %L, %L, %L)', 'ada00000-0000-4000-8000-000000000000', name, amount, 'Done', metadata, key),
  'PT422', 'idempotency_key_reused', format('The key means this capture and not one %s.', what)
)
from (
  values
    ('captured', '2', '{"n": 1}', 'done-1', 'of another amount'),
    ('captured', null, '{"n": 1}', 'done-1', 'of all'),
    ('captured', '3', '{"n": 2}', 'done-1', 'with other metadata'),
    ('released', '3', '{"n": 1}', 'done-1', 'of another hold'),
    ('expired', '3', '{"n": 1}', 'done-1', 'of a hold that is active')
) as calls (name, amount, metadata, key, what);
select throws_ok(
  $$ select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 3, 'Done', '{"n": 1}', 'done-1') $$, 'PT422', 'idempotency_key_reused', 'Nor one without a hold.'
);
select is(
  (public.capture_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('keyless'))).seq,
  (select h.seq from public.credit_holds as h where h.id = pg_temp.hold('keyless')),
  'The same call without a key is the same capture.'
);
select is(
  pg_temp.refusal(format('select public.%s', call)),
  jsonb_build_object('hold_not_active', jsonb_build_object('state', state, 'hold_id', pg_temp.hold(name))), what
)
from (
  values
    ($$capture_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('captured'), 3, 'Done', '{"n": 1}', 'done-2')$$, 'captured', 'captured', 'With another key a hold is not captured twice.'),
    ($$capture_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('captured'), 1)$$, 'captured', 'captured', 'Nor without one.'),
    ($$capture_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('keyless'), 1)$$, 'keyless', 'captured', 'Nor of another amount where the first had none.'),
    ($$capture_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('released'))$$, 'released', 'released', 'What was released is not captured.'),
    ($$release_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('captured'))$$, 'captured', 'captured', 'What was captured is not released.')
) as calls (call, name, state, what);
select results_eq(
  'select a.*, (select jsonb_agg(h order by h.id) from public.credit_holds as h) from public.user_credits as a', 'select * from before',
  'None of these has changed anything.'
);

select set_config('test.now', '2026-03-01 01:00:00+00', true);
select is(
  pg_temp.refusal($$ select public.capture_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('expired')) $$),
  jsonb_build_object('hold_not_active', jsonb_build_object('state', 'expired', 'hold_id', pg_temp.hold('expired'))),
  'What has expired is not captured, whether or not it was swept.'
);
select results_eq(
  $$ select status::text, ended_at from public.release_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('expired')) $$,
  $$ values ('expired', '2026-03-01 01:00:00+00'::timestamptz) $$,
  'Released after its expiry it is expired.'
);
select results_eq(
  $$ select status::text, ended_at from public.release_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('swept')) $$,
  $$ values ('expired', '2026-03-01 01:00:00+00'::timestamptz) $$,
  'So is one that was swept.'
);
select is(
  pg_temp.refusal($$ select public.capture_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('swept')) $$) -> 'hold_not_active' ->> 'state', 'expired',
  'Nor is that captured.'
);
select is((public.capture_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('captured'), 3, 'Done', '{"n": 1}', 'done-1')).seq, 2::bigint, 'The capture is known for ever.');
select is((public.release_hold_for('ada00000-0000-4000-8000-000000000000', pg_temp.hold('released'))).status::text, 'released', 'The release too.');
select is((public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 5, '1 hour', 'released', '{}', 'released')).status::text, 'released', 'The hold of a key used before is that one, ended.');
select results_eq(
  'select credits_remaining, credits_held from public.user_credits', 'values (42::bigint, 0::bigint)', 'What was captured is spent, no more.'
);
reset role;
select throws_ok(
  $$ update public.credit_holds set captured_amount = 6 where idempotency_key = 'captured' $$, '23514', null, 'The table keeps a capture within its hold.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
