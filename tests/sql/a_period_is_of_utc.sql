-- Days, weeks and months of recurring grants begin at midnight UTC, whatever the time zone and the style of dates of a
-- session.

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

select set_config('test.now', '2024-02-28 23:30:00+00', true);
select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');

create temp table zones (place integer, zone text, style text);
insert into zones
values
  (1, 'UTC', 'ISO, MDY'),
  (2, 'Pacific/Kiritimati', 'SQL, DMY'),
  (3, 'Pacific/Pago_Pago', 'German'),
  (4, 'America/New_York', 'Postgres, MDY'),
  (5, 'Asia/Kathmandu', 'ISO, YMD');
insert into auth.users (id) select ('bea00000-0000-4000-8000-' || lpad(place::text, 12, '0'))::uuid from zones;

-- what a user has after a life in some time zone
create function pg_temp.live(place integer, zone text, style text)
  returns jsonb
  language plpgsql
as $$
declare
  v_user_id uuid := 'bea00000-0000-4000-8000-' || lpad(place::text, 12, '0');
  v_instant text;
  v_balances jsonb := '[]';
begin
  perform set_config('timezone', zone, true), set_config('datestyle', style, true);
  perform set_config('test.now', '2024-02-28 23:30:00+00', true);
  perform public.set_recurring_grant('d', 1, 'day', v_user_id), public.set_recurring_grant('w', 10, 'week', v_user_id),
    public.set_recurring_grant('m', 100, 'month', v_user_id);
  foreach v_instant in array array[
    '2024-02-28 23:59:59.999999+00', '2024-02-29 00:00:00+00', '2024-02-29 23:59:59.999999+00', '2024-03-01 00:00:00+00',
    '2024-03-03 10:00:00+00', '2024-03-03 23:59:59.999999+00', '2024-03-04 00:00:00+00', '2024-03-10 07:00:00+00',
    '2024-03-31 01:00:00+00', '2024-04-01 00:00:00+00', '2024-12-31 23:59:59.999999+00', '2025-01-01 00:00:00+00'
  ] loop
    perform set_config('test.now', v_instant, true);
    v_balances := v_balances || to_jsonb((public.get_user_credits_for(v_user_id)).credits_remaining);
    perform public.consume_credit_for(v_user_id, 1);
  end loop;
  perform set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO, MDY', true);
  return v_balances || (
    select jsonb_agg(jsonb_build_array(t.type, t.amount, t.created_at, t.idempotency_key) order by t.seq)
    from public.credit_transactions as t
    where t.user_id = v_user_id
  );
end;
$$;
create temp table lives as select place, zone, pg_temp.live(place, zone, style) as life from zones order by place;
select is(
  (select jsonb_path_query_array(life, '$[0 to 11]') from lives where place = 1),
  '[111, 111, 110, 111, 111, 110, 111, 111, 111, 111, 111, 111]',
  'A life at the ends of days, weeks and months, in a leap year.'
);
select is(l.life, u.life, 'The same in ' || l.zone || '.')
from lives as l
join lives as u on u.place = 1
where l.place > 1
order by l.place;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
