-- names: what the app track makes in public must not be somebody else's already.
--
-- The first thing that its first migration does. Tables are taken as they are (adopted_relations); a function or a type
-- of the host's is never replaced. credits is a field, one function for each table, and the host may have its own.

do $$
declare
  v_taken text;
begin
  select string_agg(distinct 'public.' || o.name, ', ' order by 'public.' || o.name)
  into v_taken
  from (
    select t.typname as name
    from pg_catalog.pg_type as t
    where t.typnamespace = 'public'::regnamespace
    union all
    select p.proname
    from pg_catalog.pg_proc as p
    where p.pronamespace = 'public'::regnamespace
      and (
        p.proname <> 'credits'
        or p.pronargs = 1
        and p.proargtypes[0] = (select c.reltype from pg_catalog.pg_class as c where c.oid = to_regclass('public.profiles'))
      )
  ) as o
  where o.name in (
    'consume_credit_and_create_export', 'consume_credit_and_create_export_for', 'credits', 'export_payment',
    'get_user_stats', 'get_user_stats_for', 'user_stats'
  );
  if v_taken is not null then
    raise object_not_in_prerequisite_state
      using message = format('There is already %s, and it is not credits-db''s: rename it first.', v_taken);
  end if;
end;
$$;
