-- The triggers that keep the books fire in every session, also as replica; those that move balances do not
-- fire as replica, where the rows of a restore or a copy have counted already. The one that tells of changes waits for
-- its setting.

begin;
select plan(2);

select is(
  (
    select jsonb_object_agg(format('%s on %s.%s', t.tgname, c.relnamespace::regnamespace, c.relname), t.tgenabled)
    from pg_catalog.pg_trigger as t
    join pg_catalog.pg_class as c on c.oid = t.tgrelid
    join pg_catalog.pg_proc as p on p.oid = t.tgfoid
    where not t.tgisinternal
      and p.pronamespace = 'credits_private'::regnamespace
  ),
  '{
    "close_account on public.user_credits": "A",
    "close_account_on_deletion on auth.users": "O",
    "keep_accounts on public.user_credits": "A",
    "keep_accounts_whole on public.user_credits": "A",
    "keep_app_store_credits on credits_private.credit_lots": "A",
    "keep_ledger on public.credit_transactions": "A",
    "keep_ledger_whole on public.credit_transactions": "A",
    "notify_changes on public.user_credits": "D",
    "open_account_on_signup on auth.users": "O",
    "settle_account_before_deletion on auth.users": "O",
    "post_transaction on public.credit_transactions": "O"
  }',
  'Each trigger is there and fires when it should.'
);
select results_eq(
  $$
    select c.conrelid::regclass::text, c.confdeltype::text
    from pg_catalog.pg_constraint as c
    where c.contype = 'f'
      and c.connamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
  $$,
  $$ values ('user_credits', 'c') $$,
  'One foreign key deletes rows: a balance goes with its user.'
);

select * from finish();
rollback;
