-- Who holds the entitlement of the setting exports without a credit, and the export says so. The same export is paid for
-- with a credit before and after.

begin;
select plan(8);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
insert into public.projects (id, user_id)
values ('b0000000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000');

create function pg_temp.make(key text default null)
  returns text
  language sql
as $$
  select concat(e.paid_by, ' ', e.seq)
  from public.consume_credit_and_create_export_for(
    'ada00000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000000', 'png', idempotency_key => key
  ) as e;
$$;

select is(pg_temp.make('one'), 'credits 2', 'A credit pays where there is no entitlement.');
select public.grant_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro', clock_timestamp() + interval '1 day');
select is(pg_temp.make(), 'entitlement ', 'A Pro pays nothing, and there is no ledger row.');
select is(pg_temp.make('two'), 'entitlement ', 'With a key, too.');
select is(pg_temp.make('one'), 'credits 2', 'What was paid before stays paid so.');
select results_eq(
  'select credits_remaining, last_seq from public.user_credits', 'values (2::bigint, 2::bigint)', 'One credit was taken in all.'
);
select public.grant_entitlement_for('ada00000-0000-4000-8000-000000000000', 'pro', clock_timestamp() - interval '1 day');
select is(pg_temp.make('two'), 'entitlement ', 'What was included before stays so when the entitlement has ended.');
select is(pg_temp.make(), 'credits 3', 'What comes after is paid for.');
select public.grant_entitlement_for('ada00000-0000-4000-8000-000000000000', 'studio');
select credits_private.set_setting('export_entitlement', 'studio');
select is(pg_temp.make(), 'entitlement ', 'Which entitlement includes exports is a setting.');

select * from finish();
rollback;
