-- What each API role, PostgREST's log-in role and a role of no importance may do with tables, columns, types
-- and schemas is this list, no more and no less. authenticator has nothing of its own.

begin;
select plan(11);

create role nobody_in_particular nologin;

create temp table roles as
select r.oid, r.rolname::text collate "default" as name
from pg_catalog.pg_roles as r
where r.rolname in ('anon', 'authenticated', 'service_role', 'authenticator', 'nobody_in_particular');
select is((select count(*) from roles), 5::bigint, 'There are five roles to look at.');

-- tables
create temp table declared_tables (role text, object text, privilege text);
insert into declared_tables
values
  ('authenticated', 'public.user_credits', 'SELECT'),
  ('authenticated', 'public.credit_transactions', 'SELECT'),
  ('authenticated', 'public.credit_holds', 'SELECT'),
  ('service_role', 'public.credit_holds', 'SELECT'),
  ('service_role', 'public.user_credits', 'SELECT'),
  ('service_role', 'public.credit_transactions', 'SELECT'),
  ('anon', 'public.credit_products', 'SELECT'),
  ('authenticated', 'public.credit_products', 'SELECT'),
  ('service_role', 'public.credit_products', 'SELECT'),
  ('service_role', 'public.purchase_transactions', 'SELECT'),
  ('authenticated', 'public.user_entitlements', 'SELECT'),
  ('service_role', 'public.user_entitlements', 'SELECT');
create temp view actual_tables as
select r.name as role, format('%s.%s', n.nspname, c.relname) as object, p.privilege
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
cross join roles as r
cross join unnest(
  array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']
  || case when current_setting('server_version_num')::integer >= 170000 then array['MAINTAIN'] else array[]::text[] end
) as p (privilege)
where n.nspname in ('public', 'credits_private')
  and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and has_table_privilege(r.oid, c.oid, p.privilege);
select is_empty(
  'select * from actual_tables except select * from declared_tables',
  'Nobody may do more with a table than is declared.'
);
select is_empty(
  'select * from declared_tables except select * from actual_tables',
  'Nobody may do less with a table than is declared.'
);

-- columns, where the table as a whole is not granted
create temp table declared_columns (role text, object text, privilege text);
insert into declared_columns
select 'service_role', 'public.credit_transactions.' || name, 'INSERT'
from unnest(array['user_id', 'type', 'amount', 'description', 'metadata', 'idempotency_key']) as columns (name);
-- all but payload
insert into declared_columns
select 'authenticated', 'public.purchase_transactions.' || name, 'SELECT'
from unnest(array[
  'user_id', 'store', 'environment', 'transaction_id', 'product_id', 'provider', 'status', 'credits', 'refunded_credits',
  'quantity', 'price_cents', 'currency', 'entitlements', 'entitled_until', 'seq', 'verified_at', 'created_at',
  'credits_expire_at'
]) as columns (name);
create temp view actual_columns as
select r.name as role, format('%s.%s.%s', n.nspname, c.relname, a.attname) as object, p.privilege
from pg_catalog.pg_attribute as a
join pg_catalog.pg_class as c on c.oid = a.attrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
cross join roles as r
cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) as p (privilege)
where n.nspname in ('public', 'credits_private')
  and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and a.attnum > 0
  and not a.attisdropped
  and has_column_privilege(r.oid, c.oid, a.attnum, p.privilege)
  and not has_table_privilege(r.oid, c.oid, p.privilege);
select is_empty(
  'select * from actual_columns except select * from declared_columns',
  'Nobody may do more with a column than is declared.'
);
select is_empty(
  'select * from declared_columns except select * from actual_columns',
  'Nobody may do less with a column than is declared.'
);

-- types that are not the row of a table
create temp table declared_types (role text, object text);
insert into declared_types
values
  ('authenticated', 'public.account_deletion'),
  ('authenticated', 'public.credit_hold_status'),
  ('authenticated', 'public.credit_transaction_type'),
  ('authenticated', 'public.credit_usage'),
  ('authenticated', 'public.purchase_status'),
  ('service_role', 'public.account_deletion'),
  ('service_role', 'public.credit_hold_status'),
  ('service_role', 'public.credit_transaction_type'),
  ('service_role', 'public.credit_usage'),
  ('service_role', 'public.grant_period'),
  ('service_role', 'public.ledger_violation'),
  ('service_role', 'public.maintenance_report'),
  ('service_role', 'public.outbox_item'),
  ('service_role', 'public.purchase_status'),
  ('service_role', 'public.recurring_grant'),
  ('service_role', 'public.store_event'),
  ('service_role', 'public.store_event_state');
create temp view actual_types as
select r.name as role, format('%s.%s', n.nspname, t.typname) as object
from pg_catalog.pg_type as t
join pg_catalog.pg_namespace as n on n.oid = t.typnamespace
left join pg_catalog.pg_class as c on c.oid = t.typrelid
cross join roles as r
where n.nspname in ('public', 'credits_private')
  and t.typcategory <> 'A'
  and coalesce(c.relkind, 'c') = 'c'
  and has_type_privilege(r.oid, t.oid, 'USAGE');
select is_empty(
  'select * from actual_types except select * from declared_types',
  'Nobody may use a type that is not declared for them.'
);
select is_empty(
  'select * from declared_types except select * from actual_types',
  'Everybody may use the types that are declared for them.'
);

-- schemas
select results_eq(
  $$ select name from roles where has_schema_privilege(oid, 'credits_private', 'USAGE') order by name $$,
  $$ values ('anon'), ('authenticated') $$,
  'Only the doors of users and the webhooks lead into the private schema.'
);
select is_empty(
  $$
    select name, schema
    from roles, unnest(array['public', 'credits_private', 'auth']) as schemas (schema)
    where has_schema_privilege(oid, schema, 'CREATE')
  $$,
  'Nobody may create anything in these schemas.'
);
select is_empty(
  $$
    select r.name, p.privilege
    from roles as r, unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as p (privilege)
    where r.name <> 'service_role' and has_table_privilege(r.oid, 'auth.users', p.privilege)
  $$,
  'Only a service may have anything to do with auth.users.'
);
select is_empty(
  $$
    select c.oid::regclass
    from pg_catalog.pg_class as c
    where c.relkind = 'S' and c.relnamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
  $$,
  'There are no sequences that could be set, or that would tell how much is going on.'
);

select * from finish();
rollback;
