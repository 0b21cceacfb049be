-- Whatever can hold the id, the address or a name of somebody is in a table of personal_data, or is listed here with the
-- reason why it holds nobody. A new column that nobody thought about fails.

begin;
select plan(6);

create temp table no_person (columns text, why text);
insert into no_person
values
  ('public.credit_products.(store|product_id|currency|entitlement)', 'what is sold'),
  ('credits_private.settings.(name|kind|pattern|description)', 'what may be set'),
  ('credits_private.secrets.(name|value)', 'proves who a webhook is from'),
  ('credits_private.personal_data.(relation|predicate|concealed)', 'this list'),
  ('credits_private.adopted_relations.relation', 'names of tables'),
  ('credits_private.migrations.*', 'what was applied, and by which program'),
  ('credits_private._?yoyo_.*', 'what was applied, and by which operator'),
  ('credits_private.purchase_facts.*', 'money of a transaction'),
  ('credits_private.closed_accounts.id', 'random'),
  ('credits_private.closed_(totals|sales).*', 'sums under that id'),
  ('credits_private.(closed_identities|bonus_claims).identity_hash', 'a keyed hash'),
  ('credits_private.monthly_(totals|sales).*', 'sums');
create temp view columns as
select format('%s.%s', n.nspname, c.relname) collate "default" as relation, a.attname::text collate "default" as name
from pg_catalog.pg_attribute as a
join pg_catalog.pg_class as c on c.oid = a.attrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_type as t on t.oid = a.atttypid
left join pg_catalog.pg_type as e on e.oid = t.typelem and t.typcategory = 'A'
where n.nspname in ('public', 'credits_private')
  and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and a.attnum > 0
  and not a.attisdropped
  and coalesce(e.typname, t.typname) in ('text', 'varchar', 'bpchar', 'name', 'citext', 'uuid', 'json', 'jsonb', 'xml', 'bytea', 'hstore', 'inet');
create temp view unknown as
select c.relation, c.name
from columns as c
where not exists (select from credits_private.personal_data as d where d.relation = c.relation)
  and not exists (select from no_person as p where format('%s.%s', c.relation, c.name) ~ ('^' || p.columns || '$'));

select is_empty('select * from unknown', 'No column is unknown.');
create table credits_private.invitations (id bigint primary key, invited_by uuid);
create table public.friends (names varchar(9)[]);
select results_eq(
  'select relation || ''.'' || name from unknown order by 1',
  $$ values ('credits_private.invitations.invited_by'), ('public.friends.names') $$, 'One that nobody thought about would show.'
);
select is_empty(
  $$ select d.relation from credits_private.personal_data as d where to_regclass(d.relation) is null $$,
  'Every table in the list is there.'
);
select is_empty(
  $$
    select d.relation, p.pattern
    from credits_private.personal_data as d
    cross join unnest(d.concealed) as p (pattern)
    where d.relation <> 'auth.users'
      and not exists (select from columns as c where c.relation = d.relation and c.name like p.pattern)
  $$,
  'Every concealed column is there.'
);
select is_empty(
  $$
    select p.columns
    from no_person as p
    where not exists (select from columns as c where format('%s.%s', c.relation, c.name) ~ ('^' || p.columns || '$'))
  $$,
  'Every exception is about a column.'
);

-- a deletion counts them all
set local enable_seqscan = off;
create function pg_temp.plan_of(relation text, predicate text)
  returns jsonb
  language plpgsql
as $$
declare
  v_plan json;
begin
  execute format('explain (format json) select count(*) from %s as t where %s', relation, predicate)
  into v_plan
  using gen_random_uuid(), 'ada@example.com';
  return v_plan;
end;
$$;
select is_empty(
  $$
    select d.relation
    from credits_private.personal_data as d
    where d.relation <> 'credits_private.settings'
      and jsonb_path_exists(
        pg_temp.plan_of(d.relation, d.predicate),
        '$.** ? (@.Alias == "t" && !exists(@."Index Cond") && !exists(@."Recheck Cond"))'
      )
  $$,
  'An index serves each predicate.'
);

select * from finish();
rollback;
