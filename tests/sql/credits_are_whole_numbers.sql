-- Credits are counted, not measured: every figure is a bigint that is never null, so that nothing is rounded
-- and nothing is NaN.

begin;
select plan(3);

select is_empty(
  $$
    select c.table_name, c.column_name, c.data_type
    from information_schema.columns as c
    where c.table_schema = 'public'
      and c.data_type in ('real', 'double precision', 'numeric', 'money', 'integer', 'smallint')
      and (c.table_name, c.column_name) <> ('purchase_transactions', 'quantity')
  $$,
  'No column holds a fraction, or less than a bigint, but for how many of a product were bought.'
);
select is_empty(
  $$
    select c.table_name, c.column_name
    from information_schema.columns as c
    where c.table_schema = 'public'
      and c.table_name in ('user_credits', 'credit_transactions')
      and c.data_type = 'bigint'
      and c.is_nullable = 'YES'
      and c.column_name <> 'alert_below'
  $$,
  'No figure may be null, but for an alert that nobody asked for.'
);
select is_empty(
  $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p
    where p.pronamespace = 'public'::regnamespace
      and (
        array['real'::regtype, 'double precision'::regtype, 'numeric'::regtype] && p.proargtypes::oid[]::regtype[]
        or p.prorettype in ('real'::regtype, 'double precision'::regtype, 'numeric'::regtype)
      )
  $$,
  'No call takes or gives a fraction.'
);

select * from finish();
rollback;
