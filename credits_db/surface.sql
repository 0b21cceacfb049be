-- The surface: everything of credits-db that this database exposes or relies on, one line a fact.
--
-- `credits-db verify` compares it with sql/credits/surface.txt. %(ours)s names the objects of ours in
-- public (the host's own are not our business), or is null to take all. Run it with an empty search_path,
-- so that every name comes out qualified. What differs between versions of Postgres is left out.
with relations as (
  select c.oid, c.relkind, c.relowner, c.relacl, c.reloptions, c.relrowsecurity, c.relforcerowsecurity, n.nspname || '.' || c.relname as name
  from pg_catalog.pg_class as c
  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and (n.nspname = 'credits_private' or n.nspname = 'public' and (%(ours)s::text[] is null or c.relname = any (%(ours)s)))
),
functions as (
  select
    p.*,
    p.oid::regprocedure::text as name
  from pg_catalog.pg_proc as p
  join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
  where (n.nspname = 'credits_private' or n.nspname = 'public' and (%(ours)s::text[] is null or p.proname = any (%(ours)s)))
    and not exists (select from pg_catalog.pg_depend as d where d.objid = p.oid and d.deptype = 'e')
),
types as (
  select t.oid, t.typtype, t.typrelid, t.typowner, t.typacl, n.nspname || '.' || t.typname as name
  from pg_catalog.pg_type as t
  join pg_catalog.pg_namespace as n on n.oid = t.typnamespace
  left join pg_catalog.pg_class as c on c.oid = t.typrelid
  where (t.typtype in ('e', 'd') or t.typtype = 'c' and c.relkind = 'c')
    and (n.nspname = 'credits_private' or n.nspname = 'public' and (%(ours)s::text[] is null or t.typname = any (%(ours)s)))
),
house as (
  select n.nspowner as owner, n.nspacl as acl from pg_catalog.pg_namespace as n where n.nspname = 'credits_private'
),
owners as (
  select 'table ' || r.name as object, r.relowner as owner from relations as r
  union all
  select 'function ' || f.name, f.proowner from functions as f
  union all
  select 'type ' || t.name, t.typowner from types as t
),
grants as (
  select 'schema credits_private' as object, a.*, h.owner
  from house as h, pg_catalog.aclexplode(h.acl) as a
  union all
  select 'table ' || r.name, a.*, r.relowner
  from relations as r, pg_catalog.aclexplode(coalesce(r.relacl, pg_catalog.acldefault('r', r.relowner))) as a
  union all
  select 'column ' || r.name || '.' || c.attname, a.*, r.relowner
  from relations as r
  join pg_catalog.pg_attribute as c on c.attrelid = r.oid and c.attnum > 0 and not c.attisdropped,
    pg_catalog.aclexplode(c.attacl) as a
  union all
  select 'function ' || f.name, a.*, f.proowner
  from functions as f, pg_catalog.aclexplode(coalesce(f.proacl, pg_catalog.acldefault('f', f.proowner))) as a
  union all
  select 'type ' || t.name, a.*, t.typowner
  from types as t, pg_catalog.aclexplode(coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner))) as a
),
named_grants as (
  select
    'grant ' || lower(g.privilege_type) || ' on ' || g.object || ' to '
      || case g.grantee when 0 then 'public' else pg_catalog.pg_get_userbyid(g.grantee) end
      || case when g.is_grantable then ' with grant option' else '' end as line
  from grants as g
  where g.grantee <> g.owner
),
-- the grants that the setting user_spending gives and takes: a line is there when the two agree
spending as (
  select 'grant execute on function ' || f.name || ' to authenticated' as line
  from functions as f
  where f.proname = 'consume_credit'
),
lines as (
  select g.line from named_grants as g where not exists (select from spending as s where s.line = g.line)
  union all
  select s.line
  from spending as s
  where exists (select from named_grants as g where g.line = s.line)
    = coalesce((select t.value = 'on' from credits_private.settings as t where t.name = 'user_spending'), true)
  union all
  select o.object || ' has another owner than credits_private' from owners as o, house as h where o.owner <> h.owner
  union all
  select 'schema credits_private' from house as h
  union all
  select
    case r.relkind when 'v' then 'view ' when 'S' then 'sequence ' else 'table ' end || r.name
      || coalesce(' with ' || array_to_string(r.reloptions, ', '), '')
      || case when r.relrowsecurity then ', row level security' else '' end
      || case when r.relforcerowsecurity then ', forced' else '' end
  from relations as r
  union all
  -- without aliases, which Postgres 15 prints where later ones do not
  select 'view ' || r.name || ' is ' || regexp_replace(pg_catalog.pg_get_viewdef(r.oid, true), '\m[a-z]\.(?=\w)', '', 'g')
  from relations as r
  where r.relkind = 'v'
  union all
  select
    'column ' || r.name || '.' || c.attname || ' ' || pg_catalog.format_type(c.atttypid, c.atttypmod)
      || coalesce(' collate ' || nullif(nullif(c.attcollation, 0), 'pg_catalog.default'::regcollation)::regcollation, '')
      || case when c.attnotnull then ' not null' else '' end
      || coalesce(' default ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid), '')
  from relations as r
  join pg_catalog.pg_attribute as c on c.attrelid = r.oid and c.attnum > 0 and not c.attisdropped
  left join pg_catalog.pg_attrdef as d on d.adrelid = r.oid and d.adnum = c.attnum
  union all
  select 'constraint ' || r.name || ' ' || k.conname || ' ' || pg_catalog.pg_get_constraintdef(k.oid)
  from relations as r
  join pg_catalog.pg_constraint as k on k.conrelid = r.oid and k.contype <> 'n'
  union all
  select 'index ' || pg_catalog.pg_get_indexdef(i.indexrelid) || case when i.indisvalid then '' else ', invalid' end
  from relations as r
  join pg_catalog.pg_index as i on i.indrelid = r.oid
  union all
  select
    'trigger ' || pg_catalog.pg_get_triggerdef(t.oid)
      || case
        when t.tgname = 'notify_changes' and t.tgenabled = (
          select case s.value when 'on' then 'O' else 'D' end from credits_private.settings as s where s.name = 'notify_changes'
        ) then ', as its setting says'
        when t.tgenabled = 'O' then ''
        when t.tgenabled = 'A' then ', always'
        when t.tgenabled = 'D' then ', disabled'
        else ', replica only'
      end
  from pg_catalog.pg_trigger as t
  where not t.tgisinternal
    and (
      t.tgrelid in (select r.oid from relations as r)
      or t.tgfoid in (select f.oid from functions as f where f.pronamespace = 'credits_private'::regnamespace)
    )
  union all
  select 'rule ' || pg_catalog.pg_get_ruledef(u.oid)
  from relations as r
  join pg_catalog.pg_rewrite as u on u.ev_class = r.oid and u.rulename <> '_RETURN'
  union all
  select 'setting ' || s.name || ' ' || s.kind from credits_private.settings as s
  union all
  select 'role ' || o.rolname || case when o.rolsuper or o.rolbypassrls then ' sees every row' else '' end
    || case when pg_has_role(o.oid, 'service_role', 'member') then ' is a service' else '' end
    || case when has_schema_privilege(o.oid, 'public', 'usage') then '' else ' cannot reach schema public' end
  from pg_catalog.pg_roles as o
  where o.rolname in ('anon', 'authenticated')
  union all
  select
    'policy ' || r.name || ' ' || quote_ident(p.polname) || ' for ' || p.polcmd::text || ' to '
      || (
        select string_agg(case o.role when 0 then 'public' else pg_catalog.pg_get_userbyid(o.role) end, ', ' order by o.role)
        from unnest(p.polroles) as o (role)
      )
      || coalesce(' using ' || pg_catalog.pg_get_expr(p.polqual, p.polrelid), '')
      || coalesce(' check ' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), '')
      || case when p.polpermissive then '' else ', restrictive' end
  from relations as r
  join pg_catalog.pg_policy as p on p.polrelid = r.oid
  union all
  select
    'function ' || n.nspname || '.' || f.proname || '(' || pg_catalog.pg_get_function_arguments(f.oid) || ') returns '
      || pg_catalog.pg_get_function_result(f.oid) || ', ' || l.lanname || ' '
      || case f.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end
      || case when f.prosecdef then ' security definer' else '' end
      || case when f.proleakproof then ' leakproof' else '' end
      || coalesce(' set ' || array_to_string(f.proconfig, ' '), '')
      || ', body ' || md5(f.prosrc)
  from functions as f
  join pg_catalog.pg_namespace as n on n.oid = f.pronamespace
  join pg_catalog.pg_language as l on l.oid = f.prolang
  union all
  select
    'type ' || t.name || ' ' || case t.typtype
      when 'e' then (
        select string_agg(e.enumlabel, ', ' order by e.enumsortorder) from pg_catalog.pg_enum as e where e.enumtypid = t.oid
      )
      else (
        select string_agg(c.attname || ' ' || pg_catalog.format_type(c.atttypid, c.atttypmod), ', ' order by c.attnum)
        from pg_catalog.pg_attribute as c
        where c.attrelid = t.typrelid and c.attnum > 0 and not c.attisdropped
      )
    end
  from types as t
),
facts as (
  select regexp_replace(l.line, '\s+', ' ', 'g') as line from lines as l
)
select f.line from facts as f order by f.line collate "C"
