-- One signup bonus for an address, however it is spelled, and for a phone number: while the first account lives, after it has
-- gone, and after its address was changed. Whoever has neither has it as before.

begin;
select plan(35);

create function pg_temp.sign_up(p_address text, p_phone text default null)
  returns bigint
  language sql
as $$
  insert into auth.users (id, email, phone) values (gen_random_uuid(), p_address, p_phone);
  select a.credits_remaining from public.user_credits as a join auth.users as u on u.id = a.user_id
  where (u.email, coalesce(u.phone, '')) = (p_address, coalesce(p_phone, ''))
$$;

select is(pg_temp.sign_up(address), bonus, format('%s has %s.', address, bonus))
from (
  values
    (1, 'ada@example.com', 3::bigint),
    (2, 'Ada@Example.COM', 0),
    (3, 'ada+bonus@example.com', 0),
    (4, 'ada+a+b@EXAMPLE.com', 0),
    (5, 'a.da@example.com', 3),
    (6, 'bea.smith@gmail.com', 3),
    (7, 'b.e.a.smith+x@googlemail.com', 0),
    (8, 'beasmith@gmail.com', 0),
    (9, 'beasmith@gmail.com.example.com', 3),
    (10, 'ada@example.com.', 0),
    (11, E'\u00a0ada@\texample.com\n', 0),
    (12, 'ａｄａ@example.com', 0),
    (13, E'rene\u0301@example.com', 3),
    (14, E'ren\u00e9@example.com', 0),
    (15, '+gus@example.com', 3),
    (16, '+hal@example.com', 3),
    (17, '+hal+x@example.com', 0)
) as people (place, address, bonus)
order by place;

-- deleted, and back
delete from auth.users where email = 'ada@example.com';
select is(pg_temp.sign_up('ada@example.com'), 0::bigint, 'Who leaves and comes back has none.');
select is(pg_temp.sign_up('ADA+again@example.com'), 0::bigint, 'Nor in another spelling.');

-- changed before
select is(pg_temp.sign_up('cee@example.com'), 3::bigint, 'Cee has the bonus.');
update auth.users set email = 'cee@example.org' where email = 'cee@example.com';
select is(pg_temp.sign_up('cee@example.com'), 0::bigint, 'The address of before has had it.');
select is(pg_temp.sign_up('Cee@example.org'), 0::bigint, 'So has the one of now.');
delete from auth.users where email = 'cee@example.org';
select is(pg_temp.sign_up('cee@example.org'), 0::bigint, 'Also when Cee has left.');

-- phone numbers
select is(pg_temp.sign_up(null, '15550100'), null, 'Somebody signs up by phone.');
select is((select a.credits_remaining from public.user_credits as a join auth.users as u on u.id = a.user_id where u.phone = '15550100'), 3::bigint, 'They have it.');
select is(pg_temp.sign_up('dee@example.com', '+1 555-0100'), 0::bigint, 'The number has had it, whatever the address.');
select is(pg_temp.sign_up('dan@example.com', '001 555 0100'), 0::bigint, 'With 00 for the plus too.');
select is(pg_temp.sign_up('eve@example.com', '15550101'), 3::bigint, 'Another one has not.');

-- neither
insert into auth.users (id) values ('fae00000-0000-4000-8000-000000000000'), ('fae00000-0000-4000-8000-000000000001');
select is((select sum(credits_remaining) from public.user_credits where user_id::text like 'fae%'), 6::numeric, 'Without both, each has it.');

-- before the account is open
set local session_replication_role = replica;
insert into auth.users (id, email) values ('abe00000-0000-4000-8000-000000000000', 'Bea.Smith@gmail.com'), ('abe00000-0000-4000-8000-000000000001', 'abe@example.com'),
  ('abe00000-0000-4000-8000-000000000002', 'Abe@example.com');
set local session_replication_role = origin;
select is((select credits_remaining from public.get_user_credits_for('abe00000-0000-4000-8000-000000000000')), 0::bigint, 'Reading says so too.');
select is((select credits_remaining from public.get_user_credits_for('abe00000-0000-4000-8000-000000000001')), 3::bigint, 'And what opening would give.');
select credits_private.open_accounts('00000000-0000-0000-0000-000000000000', null);
select results_eq(
  $$ select credits_remaining from public.user_credits where user_id::text like 'abe%' order by user_id $$,
  'values (0::bigint), (3), (0)',
  'Opened in bulk, the first of an address has it, unless it was had before.'
);
select is(
  (select count(*) from credits_private.bonus_claims), (
    select count(distinct h)
    from (values ('ada@example.com'), ('a.da@example.com'), ('beasmith@gmail.com'), ('beasmith@gmail.com.example.com'), ('cee@example.com'),
      ('cee@example.org'), ('eve@example.com'), ('abe@example.com'), (E'ren\u00e9@example.com'), ('+gus@example.com'), ('+hal@example.com')) as a (address)
    cross join lateral credits_private.identity_hash('address', a.address) as h
  ) + 2, 'Each address and number was noted once.'
);
select is_empty(
  $$ select from credits_private.bonus_claims as c where length(c.identity_hash) <> 32 or c.identity_hash = sha256('ada@example.com'::bytea) $$,
  'As a keyed hash.'
);
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
