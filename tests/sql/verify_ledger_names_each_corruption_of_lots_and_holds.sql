-- verify_ledger finds what the owner can do by hand to lots, allocations, holds and the queue of what is due, and names user,
-- row or hold, rule and figures. Each user here has one thing wrong with theirs, the last one nothing.

begin;
select plan(28);

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

create function pg_temp.u(n integer) returns uuid language sql as $$ select ('bea00000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
insert into auth.users (id) select pg_temp.u(n) from generate_series(1, 21) as n;
-- everybody: 1 a purchase of 10, 2 a lot of 6, 3 a spend of 2, 4 a refund of 1, 5 a capture of 1, and a hold of 4; the lot has 0, the hold 4 of it
select public.add_credits_for(pg_temp.u(n), 10, 'purchase') from generate_series(1, 21) as n;
select public.add_credits_for(pg_temp.u(n), 6, expires_at => '2026-03-10 00:00:00+00') from generate_series(1, 21) as n;
select public.consume_credit_for(pg_temp.u(n), 2) from generate_series(1, 21) as n;
select public.refund_consumption_for(pg_temp.u(n), 3, 1) from generate_series(1, 21) as n;
select public.capture_hold_for(h.user_id, h.id, 1, idempotency_key => 'done')
from (select (public.reserve_credits_for(pg_temp.u(n), 3, '1 hour', idempotency_key => 'job')).* from generate_series(1, 21) as n) as h;
select public.reserve_credits_for(pg_temp.u(n), 3, '1 hour', idempotency_key => 'held') from generate_series(1, 21) as n;
select is_empty('select * from public.verify_ledger()', 'All books add up.');
select results_eq(
  'select seq, granted, remaining from credits_private.credit_lots where user_id = pg_temp.u(1)', 'values (2::bigint, 6::bigint, 1::bigint)', 'Each has a lot of which one credit is left.'
);

alter table credits_private.credit_lots drop constraint credit_lots_remaining_in_range;
alter table public.credit_holds drop constraint credit_holds_capture_is_part;
alter table public.user_credits disable trigger user;
create temp table planted (n integer, statement text, expected text, what text);
insert into planted
values
  (1, 'update credits_private.credit_lots set remaining = 2 where user_id = %L', '2 lot_is_not_its_rows 1 2', 'A lot that was filled.'),
  (2, 'update credits_private.credit_lots set granted = 7, remaining = 2 where user_id = %L', '2 lot_is_not_its_grant 6 7', 'A lot of more than its row granted.'),
  (3, 'delete from credits_private.credit_lots where user_id = %L', '2 lot_is_not_its_grant 6 0, 2 lot_is_not_its_rows -5 0', 'A lot that is missing.'),
  (4, $$ insert into credits_private.credit_lots (user_id, seq, granted, remaining, expires_at) values (%L, 9, 1, 1, '2026-03-10') $$, '9 lot_is_not_its_grant 0 1', 'A lot that no row granted.'),
  (5, $$ update credits_private.credit_lots set expired_at = '2026-03-01' where user_id = %L $$, '2 lot_expired_with_credits 0 1', 'A lot that was called expired and has credits.'),
  (6, 'delete from credits_private.lot_allocations where user_id = %L and seq = 3', '2 lot_is_not_its_rows 3 1', 'A payment that is missing.'),
  (
    7, 'update credits_private.lot_allocations set amount = -3 where user_id = %L and seq = 3',
    '2 lot_is_not_its_rows 0 1, 3 allocation_exceeds_row -2 -3', 'A payment of more than was spent.'
  ),
  (
    8, 'update credits_private.lot_allocations set amount = 3 where user_id = %L and seq = 4',
    '2 lot_is_not_its_rows 3 1, 3 refund_exceeds_consumption 2 3, 4 allocation_exceeds_row 1 3, 4 refund_is_not_its_parts 1 3',
    'A refund of more than it gave back.'
  ),
  (
    9, 'update credits_private.lot_allocations set seq = 9 where user_id = %L and seq = 3', '9 allocation_exceeds_row 0 -2',
    'A payment of a row that is not there.'
  ),
  (10, 'update public.user_credits set credits_held = 2 where user_id = %L', '- held_is_not_holds 3 2', 'Held credits that were edited.'),
  (
    11, $$ update public.credit_holds set amount = 5 where user_id = %L and status = 'active' $$, '- held_is_not_holds 5 3', 'A hold that was enlarged.'
  ),
  (
    12, $$ update public.credit_holds set amount = 2 where user_id = %L and status = 'active' $$,
    '- held_is_not_holds 2 3, - hold_is_not_its_lots 2 3 held', 'A hold of less than it has of lots.'
  ),
  (
    13, $$ delete from public.credit_holds where user_id = %L and status = 'active' $$,
    '- held_is_not_holds 0 3, - hold_is_not_its_lots 0 3 gone', 'A hold that is missing.'
  ),
  (
    14, $$ update public.credit_holds set status = 'released' where user_id = %L and status = 'active' $$,
    '- held_is_not_holds 0 3, - hold_is_not_its_lots 0 3 held', 'A hold that was ended and keeps its lots.'
  ),
  (
    15, $$ update credits_private.hold_lots set amount = 2 where user_id = %L $$, '2 lot_is_not_its_rows 2 1', 'A hold that gave away of its lot.'
  ),
  (
    16, $$ update public.credit_holds set captured_amount = 2 where user_id = %L and status = 'captured' $$,
    '5 capture_is_not_its_row 1 2 job', 'A capture of more than its row spent.'
  ),
  (
    17, $$ update public.credit_holds set captured_amount = 4 where user_id = %L and status = 'captured' $$,
    '5 capture_exceeds_hold 3 4 job, 5 capture_is_not_its_row 1 4 job', 'A capture of more than was held.'
  ),
  (
    18, $$ update public.user_credits set next_due_at = '2026-04-01' where user_id = %L $$,
    '- due_is_late 1772326800 1775001600, - due_is_not_queued 1775001600 1772326800', 'A balance that falls due too late.'
  ),
  (
    19, 'delete from credits_private.due_accounts where user_id = %L', '- due_is_not_queued 1772326800 -', 'A balance that is missing in the queue.'
  ),
  (
    20, $$ update credits_private.lot_allocations set amount = amount + 20 where user_id = %L and seq = 3 $$,
    '2 lot_is_not_its_rows 21 1, 3 allocation_exceeds_row -2 18', 'A payment that gives.'
  );
do $$
declare
  v_planted record;
begin
  for v_planted in select * from planted loop
    execute format(v_planted.statement, pg_temp.u(v_planted.n));
  end loop;
end;
$$;
select is(
  (
    select string_agg(
      concat_ws(
        ' ', coalesce(v.seq::text, '-'), v.rule, coalesce(v.expected::text, '-'), coalesce(v.found::text, '-'),
        case when v.hold_id is not null then coalesce(h.idempotency_key, 'gone') end
      ),
      ', ' order by v.seq, v.rule
    )
    from public.verify_ledger(pg_temp.u(n)) as v
    left join public.credit_holds as h on h.user_id = v.user_id and h.id = v.hold_id
  ),
  expected,
  what
)
from planted
order by n;
select is_empty('select * from public.verify_ledger(pg_temp.u(21))', 'The books that nobody touched add up.');
select is(
  (select array_agg(distinct right(user_id::text, 2)::integer) from public.verify_ledger()), (select array_agg(n) from planted), 'Asked about all users it names those, and not the last.'
);
select is(
  (select count(*) from public.verify_ledger()), (select count(*) from planted, public.verify_ledger(pg_temp.u(n))), 'Asked about all it finds what it finds for each.'
);

-- more in lots than in the balance, and holds without an account
update credits_private.credit_lots set granted = 60, remaining = 55 where user_id = pg_temp.u(21);
select results_eq(
  'select seq, rule, expected, found from public.verify_ledger(pg_temp.u(21))',
  $$ values (2::bigint, 'lot_is_not_its_grant', 6::bigint, 60::bigint), (null, 'lots_exceed_balance', 14, 58) $$,
  'Lots that hold more than the balance are told of.'
);
create temp table told as select v.rule from public.verify_ledger() as v;
delete from public.user_credits where user_id = pg_temp.u(21);
select ok(
  exists (select from public.verify_ledger(pg_temp.u(21)) as v where v.rule = 'hold_without_account' and v.hold_id is not null),
  'So is a hold whose balance row is gone.'
);
insert into told select v.rule from public.verify_ledger() as v;
select results_eq(
  $$
    select m[1] collate "default"
    from regexp_matches(col_description('public.ledger_violation'::regclass, 3), '([a-z]+_[a-z_]+)', 'g') as m
    except
    select rule collate "default" from told
    order by 1
  $$,
  $$
    values
      ('amount_breaks_type'), ('balance_breaks_chain'), ('balance_is_not_sum'), ('last_seq_is_not_last'), ('purchase_is_not_its_rows'),
      ('seq_has_gap'), ('used_is_not_consumption')
  $$,
  'Every rule about lots and holds has been broken here.'
);

select * from finish();
rollback;
