-- What a spend runs through opens no subtransaction, sends no notification, takes no advisory lock and sets no
-- timeout: each of these costs every spend, or couples users who have nothing to do with each other.

begin;
select plan(2);

create temp view spend_path as
select p.oid::regprocedure::text as name, p.prosrc
from pg_catalog.pg_proc as p
where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
  and p.proname in (
    'consume_credit', 'consume_credit_for', 'current_user_id', 'spend', 'is_unused', 'check_entry', 'lock_account',
    'open_account', 'find_replay', 'refuse_spend', 'signup_bonus_for', 'post', 'move_balance', 'now'
  );

select is((select count(*) from spend_path), 15::bigint, 'These fifteen functions are the path of a spend.');
select is_empty(
  $$
    select name
    from spend_path
    where prosrc ~* '(\mexception\s+when\M|\mnotify\M|pg_notify|advisory|lock_timeout|statement_timeout|\mexecute\M)'
  $$,
  'None of them opens a subtransaction, notifies, locks by number, sets a timeout or runs dynamic SQL.'
);

select * from finish();
rollback;
