-- A new user has a profile, which keeps their address; its field credits and the view users show the balance. What a
-- trigger of the host's has made stays, and no sign-up fails because of a profile.

begin;
select plan(14);

insert into auth.users (id, email)
values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'), ('bea00000-0000-4000-8000-000000000000', null);
select results_eq(
  'select id, email from public.profiles order by id',
  $$ values ('ada00000-0000-4000-8000-000000000000'::uuid, 'ada@example.com'), ('bea00000-0000-4000-8000-000000000000', null) $$,
  'Everybody has one, with or without an address.'
);
update auth.users set email = 'bea@example.com' where id = 'bea00000-0000-4000-8000-000000000000';
select is((select email from public.profiles where id = 'bea00000-0000-4000-8000-000000000000'), 'bea@example.com', 'An address that comes later is kept.');
update auth.users set email = null where id = 'ada00000-0000-4000-8000-000000000000';
select is((select email from public.profiles where id = 'ada00000-0000-4000-8000-000000000000'), null, 'One that goes is forgotten.');

select public.add_credits_for('bea00000-0000-4000-8000-000000000000', 5, expires_at => clock_timestamp() + interval '1 hour');
select public.reserve_credits_for('bea00000-0000-4000-8000-000000000000', 1);
set local role service_role;
select results_eq('select p.credits from public.profiles as p order by id', 'values (3::bigint), (8::bigint)', 'A service sees every balance.');
select results_eq('select credits_balance from public.users order by id', 'values (3::bigint), (8::bigint)', 'In the view, too.');
reset role;
create or replace function credits_private.now() returns timestamptz language plpgsql set search_path = '' as 'begin return clock_timestamp() + interval ''1 day''; end';
set local role authenticated;
select set_config('request.jwt.claims', '{"sub": "bea00000-0000-4000-8000-000000000000", "role": "authenticated"}', true);
select results_eq('select p.credits from public.profiles as p', 'values (3::bigint)', 'What has fallen due is counted.');
reset role;
create policy "everybody sees everybody" on public.profiles for select to public using (true);
set local role authenticated;
select results_eq('select id, p.credits from public.profiles as p order by id', $$ values ('ada00000-0000-4000-8000-000000000000'::uuid, null::bigint), ('bea00000-0000-4000-8000-000000000000', 3) $$, 'Where a host shows profiles to all, balances stay one''s own.');
reset role;

-- the name of a trigger of the host's as in Supabase's documentation
select is(
  (
    select array_agg(t.tgname::text order by t.tgname::text collate "C")
    from pg_catalog.pg_trigger as t
    where t.tgrelid = 'auth.users'::regclass and not t.tgisinternal and t.tgname in ('write_profile', 'on_auth_user_created')
      or t.tgrelid = 'auth.users'::regclass and t.tgname = 'open_account_on_signup'
  ),
  array['open_account_on_signup', 'write_profile'], 'The trigger comes after those of the host, by its name.'
);
create function pg_temp.make_first() returns trigger language plpgsql as $$
begin
  insert into public.profiles (id, email) values (new.id, 'as the host says');
  return new;
end
$$;
savepoint before;
alter table public.profiles add column username text;
insert into public.profiles (id, email) select 'ada00000-0000-4000-8000-000000000001', 'x' where false;
select lives_ok(
  $$ select credits_private.write_profiles('00000000-0000-0000-0000-000000000000', null) $$, 'Making missing ones again changes nothing.'
);
alter table public.profiles alter column username set default 'none';
update public.profiles set username = 'none' where true;
alter table public.profiles alter column username set not null, alter column username drop default;
select lives_ok($$ insert into auth.users (id, email) values ('deb00000-0000-4000-8000-000000000000', 'deb@example.com') $$, 'A profile that cannot be made fails no sign-up.');
select is((select credits_remaining from public.user_credits where user_id = 'deb00000-0000-4000-8000-000000000000'), 3::bigint, 'The account is open.');
select lives_ok($$ select credits_private.write_profiles('00000000-0000-0000-0000-000000000000', null) $$, 'Nor does making missing ones.');
select is(credits_private.write_profiles('deb00000-0000-4000-8000-000000000000', 1), null, 'Who can have none does not hold up those who come after.');
rollback to before;

delete from public.profiles where true;
select results_eq(
  $$
    select credits_private.write_profiles('00000000-0000-0000-0000-000000000000', 1)
    union all
    select credits_private.write_profiles('ada00000-0000-4000-8000-000000000000', 1)
    union all
    select credits_private.write_profiles('bea00000-0000-4000-8000-000000000000', 1)
  $$,
  $$ values ('ada00000-0000-4000-8000-000000000000'::uuid), ('bea00000-0000-4000-8000-000000000000'), (null) $$,
  'Profiles are made in batches, which say where to go on.'
);

select * from finish();
rollback;
