-- Who may do what in the app is this list, no more and no less; its policies are those, and everything else is the owner's.

begin;
select plan(9);

create role nobody_in_particular nologin;

create temp table ours as
select c.oid, c.relname::text collate "default" as name
from pg_catalog.pg_class as c
where c.oid = any (array['public.profiles', 'public.users', 'public.projects', 'public.project_layers', 'public.exports', 'credits_private.deleted_exports', 'credits_private.deleted_projects', 'credits_private.export_keys']::regclass[]);
create temp table roles as
select r.oid, r.rolname::text collate "default" as role
from pg_catalog.pg_roles as r
where r.rolname in ('anon', 'authenticated', 'service_role', 'authenticator', 'nobody_in_particular');

select results_eq(
  $$
    select o.name, r.role, string_agg(p.privilege, ' ' order by p.place)
    from ours as o
    cross join roles as r
    cross join unnest(
      array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']
      || case when current_setting('server_version_num')::integer >= 170000 then array['MAINTAIN'] else array[]::text[] end
    ) with ordinality as p (privilege, place)
    where has_table_privilege(r.oid, o.oid, p.privilege)
    group by 1, 2
    order by 1, 2
  $$,
  $$
    values
      ('exports', 'authenticated', 'SELECT DELETE'),
      ('exports', 'service_role', 'SELECT INSERT UPDATE DELETE'),
      ('profiles', 'authenticated', 'SELECT'),
      ('profiles', 'service_role', 'SELECT INSERT UPDATE DELETE'),
      ('project_layers', 'authenticated', 'SELECT DELETE'),
      ('project_layers', 'service_role', 'SELECT INSERT UPDATE DELETE'),
      ('projects', 'authenticated', 'SELECT DELETE'),
      ('projects', 'service_role', 'SELECT INSERT UPDATE DELETE'),
      ('users', 'authenticated', 'SELECT'),
      ('users', 'service_role', 'SELECT')
  $$,
  'With tables.'
);
select results_eq(
  $$
    select o.name, r.role, p.privilege, string_agg(a.attname::text collate "default", ' ' order by a.attnum)
    from ours as o
    join pg_catalog.pg_attribute as a on a.attrelid = o.oid and a.attnum > 0 and not a.attisdropped
    cross join roles as r
    cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) as p (privilege)
    where has_column_privilege(r.oid, o.oid, a.attnum, p.privilege) and not has_table_privilege(r.oid, o.oid, p.privilege)
    group by 1, 2, 3
    order by 1, 2, 3
  $$,
  $$
    values
      ('project_layers', 'authenticated', 'INSERT', 'id project_id name width height z_index visible bbox transform'),
      ('project_layers', 'authenticated', 'UPDATE', 'name z_index visible bbox transform'),
      ('projects', 'authenticated', 'INSERT', 'id user_id source_image_path status params'),
      ('projects', 'authenticated', 'UPDATE', 'status params updated_at')
  $$,
  'With columns, where not with the table.'
);
select results_eq(
  $$
    select format('%s.%s', n.nspname::text, p.proname::text) collate "default", r.role
    from pg_catalog.pg_proc as p
    join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    cross join roles as r
    where n.nspname in ('public', 'credits_private')
      and p.proname ~ '(_exports?(_for)?$|user_stats|profile|project|touch|add_index|remove_files|read_stats|^credits$)'
      and has_function_privilege(r.oid, p.oid, 'execute')
    order by 1, 2
  $$,
  $$
    values
      ('credits_private.consume_credit_and_create_export', 'authenticated'),
      ('credits_private.get_user_stats', 'authenticated'),
      ('public.consume_credit_and_create_export', 'authenticated'),
      ('public.consume_credit_and_create_export_for', 'service_role'),
      ('public.credits', 'authenticated'),
      ('public.credits', 'service_role'),
      ('public.get_user_stats', 'authenticated'),
      ('public.get_user_stats_for', 'service_role')
  $$,
  'With functions.'
);
select results_eq(
  $$
    select t.typname::text collate "default", r.role
    from pg_catalog.pg_type as t
    cross join roles as r
    where t.typname in ('export_payment', 'user_stats') and has_type_privilege(r.oid, t.oid, 'usage')
    order by 1, 2
  $$,
  $$
    values
      ('export_payment', 'authenticated'), ('export_payment', 'service_role'),
      ('user_stats', 'authenticated'), ('user_stats', 'service_role')
  $$,
  'With types.'
);
select results_eq(
  $$
    select p.tablename::text collate "default", p.cmd, p.roles::text collate "default", count(*)
    from pg_catalog.pg_policies as p
    join ours as o on o.name = p.tablename
    where p.permissive = 'PERMISSIVE'
    group by 1, 2, 3
    order by 1, 2, 3
  $$,
  $$
    values
      ('exports', 'ALL', '{service_role}', 1::bigint), ('exports', 'DELETE', '{authenticated}', 1),
      ('exports', 'SELECT', '{authenticated}', 1), ('profiles', 'ALL', '{service_role}', 1),
      ('profiles', 'SELECT', '{authenticated}', 1), ('project_layers', 'ALL', '{authenticated}', 1),
      ('project_layers', 'ALL', '{service_role}', 1), ('projects', 'ALL', '{service_role}', 1),
      ('projects', 'DELETE', '{authenticated}', 1), ('projects', 'INSERT', '{authenticated}', 1),
      ('projects', 'SELECT', '{authenticated}', 1), ('projects', 'UPDATE', '{authenticated}', 1)
  $$,
  'The policies are these.'
);
select is_empty(
  $$
    select o.name
    from ours as o
    join pg_catalog.pg_class as c on c.oid = o.oid
    where o.name not in ('deleted_exports', 'deleted_projects', 'export_keys')
      and not (c.relrowsecurity or c.relkind = 'v' and 'security_invoker=true' = any (c.reloptions))
  $$,
  'Whoever reads is told only of what the policies allow.'
);
select is_empty(
  $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and (p.proacl is null or exists (select from aclexplode(p.proacl) as a where a.grantee = 0))
  $$,
  'No function is open to PUBLIC.'
);
select results_eq(
  $$
    select c.conrelid::regclass::text collate "default", c.confdeltype::text
    from pg_catalog.pg_constraint as c
    where c.contype = 'f' and c.connamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
    order by 1
  $$,
  $$ values ('exports', 'c'), ('profiles', 'c'), ('project_layers', 'c'), ('projects', 'c'), ('user_credits', 'c') $$,
  'Every reference takes its rows along.'
);
select results_eq(
  'select relation from credits_private.personal_data where relation ~ ''profiles|project|export'' order by 1',
  $$
    values
      ('credits_private.deleted_exports'), ('credits_private.export_keys'), ('public.exports'), ('public.profiles'), ('public.project_layers'), ('public.projects')
  $$,
  'Every table that names users is classified.'
);

select * from finish();
rollback;
