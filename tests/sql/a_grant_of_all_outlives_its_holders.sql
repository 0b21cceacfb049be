-- A recurring grant of an entitlement belongs to nobody: no deletion takes it along, not even of a user who has the id of
-- zeros that stands for everybody, and it does not remember somebody who is gone.

begin;
select plan(5);

select credits_private.set_setting('signup_bonus', '0');
insert into auth.users (id) values ('00000000-0000-0000-0000-000000000000'), ('ada00000-0000-4000-8000-000000000000');
select public.set_recurring_grant('pro', 5, 'day', entitlement => 'pro');
update credits_private.recurring_grants as g
set told_to = 'ada00000-0000-4000-8000-000000000000'
where g.name = 'pro';

select public.delete_user_account_for('ada00000-0000-4000-8000-000000000000');
select is(
  (select g.told_to from credits_private.recurring_grants as g), '00000000-0000-0000-0000-000000000000',
  'Whoever was told last is not named after they have gone: all are told again.'
);
select is(
  (public.delete_user_account_for('00000000-0000-0000-0000-000000000000')).removed ->> 'auth.users', '1',
  'The user of zeros goes.'
);
select is((select count(*) from credits_private.recurring_grants), 1::bigint, 'The grant of all does not.');
insert into auth.users (id) values ('bea00000-0000-4000-8000-000000000000');
select public.grant_entitlement_for('bea00000-0000-4000-8000-000000000000', 'pro');
select is(
  (public.get_user_credits_for('bea00000-0000-4000-8000-000000000000')).credits_remaining, 5::bigint, 'Who comes next gets it.'
);
select is_empty('select * from credits_private.verify_ledger(null)', 'The books add up.');

select * from finish();
rollback;
