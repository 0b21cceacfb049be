-- personal_data: where something of a user stands, one row for each table that has it.
--
-- The one list behind the receipt of a deletion and behind export_user_data_for; a test fails where a column that could
-- name a user is in no table of this list. A host may add its own tables: rows with is_erased must go with the user by
-- themselves (a foreign key to auth.users, ON DELETE CASCADE), this list removes nothing.

create table credits_private.personal_data (
  relation text not null,
  predicate text not null,
  concealed text[] not null default '{}',
  is_erased boolean not null default true,
  constraint personal_data_pkey primary key (relation)
);

comment on table credits_private.personal_data is
  'Where something of a user stands, table by table: what a receipt counts and an export shows.';
comment on column credits_private.personal_data.relation is
  'The table with its schema, for instance public.user_credits.';
comment on column credits_private.personal_data.predicate is
  'Which of its rows, as t, are of a user: SQL in which $1 is their id (uuid) and $2 their address in lowercase, or null. A deletion waits for it, so an index should serve it.';
comment on column credits_private.personal_data.concealed is
  'Columns that an export leaves out, as patterns of LIKE: secrets, and what is about others.';
comment on column credits_private.personal_data.is_erased is
  'Whether these rows go with the user, and are counted in the receipt. False: the row stays and no longer names anybody.';

revoke all on table credits_private.personal_data from public, anon, authenticated, service_role;

insert into credits_private.personal_data (relation, predicate, concealed, is_erased)
values
  ('auth.users', 't.id = $1', '{%password%,%token%,%secret%}', true),
  ('public.user_credits', 't.user_id = $1', '{}', true),
  ('public.credit_transactions', 't.user_id = $1', '{}', true),
  ('public.credit_holds', 't.user_id = $1', '{}', true),
  ('public.purchase_transactions', 't.user_id = $1', '{}', true),
  ('public.user_entitlements', 't.user_id = $1', '{}', true),
  ('credits_private.credit_lots', 't.user_id = $1', '{}', true),
  ('credits_private.lot_allocations', 't.user_id = $1', '{}', true),
  ('credits_private.hold_lots', 't.user_id = $1', '{}', true),
  ('credits_private.recurring_grants', 't.user_id = $1', '{told_to}', true),
  ('credits_private.due_accounts', 't.user_id = $1', '{}', true),
  ('credits_private.outbox', 't.user_id = $1', '{}', true),
  ('credits_private.store_customers', 't.user_id = $1', '{}', true),
  (
    'credits_private.store_event_names',
    't.name = any (
      array[$1::pg_catalog.text, $2] || array(select c.name from credits_private.store_customers as c where c.user_id = $1)
    )',
    '{}', true
  ),
  (
    'credits_private.store_events',
    '(t.provider, t.event_id) in (
      select e.provider, e.event_id
      from credits_private.store_events as e
      where e.user_id = $1
      union
      select e.provider, e.event_id
      from credits_private.store_event_names as n
      join credits_private.store_events as e on e.provider = n.provider and e.event_id = n.event_id
      where e.user_id is null
        and n.name = any (
          array[$1::pg_catalog.text, $2] || array(select c.name from credits_private.store_customers as c where c.user_id = $1)
        )
    )',
    '{}', false
  ),
  ('credits_private.purchase_claims', 't.user_id = $1 or t.entitled_user_id = $1', '{user_id,entitled_user_id}', false),
  (
    'credits_private.settings', 't.name = ''sandbox_users'' and $1::pg_catalog.text = any (string_to_array(t.value, '',''))', '{value}', false
  );
