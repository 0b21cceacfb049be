-- adopt: what push would do with the tables that a database has already, before the first migration of a track.
--
-- One function for the length of a transaction, since there is no schema of ours yet. It reads catalogues and the host's
-- rows and changes nothing; a step comes with the statements that carry it out: ahead, one by one and without a
-- transaction, so that an index of a big table makes nobody wait; then around the first migration of its track.
-- Rows of the host are never written: what is in the way of the core moves to the schema credits_before as it is, and
-- views there (balances, transactions, purchases) give the shapes of different apps one form, to open accounts from.
create or replace function pg_temp.credits_plan(p_track text, p_names text[])
  returns table (action text, object text, words text, remedy text, ahead text, first text, afterwards text)
  language plpgsql
  set search_path = ''
as $plan$
declare
  v_core constant text[] := array['user_credits', 'credit_transactions', 'purchase_transactions'];
  v_app constant text[] := array['profiles', 'projects', 'project_layers', 'exports'];
  v_numbers constant text := '^(smallint|integer|bigint|numeric.*)$';
  v_times constant text := '^(timestamp|date)';
  -- a time without a zone is taken for UTC
  v_instant constant text := $$
    case
      when pg_typeof(%1$s) = 'timestamptz'::regtype then %1$s::timestamptz
      else (%1$s::text)::timestamp at time zone 'UTC'
    end
  $$;
  -- the words of ledgers: what they mean here, and the sign that they are stored with
  v_words constant text := $$
    values
      ('purchase', 'purchase', 1), ('add', 'purchase', 1),
      ('consumption', 'consumption', -1), ('deduct', 'consumption', -1), ('generation', 'consumption', -1),
      ('refund', 'refund', 1), ('monthlybonus', 'monthly_bonus', 1), ('monthly_bonus', 'monthly_bonus', 1),
      ('bonus', 'bonus', 1), ('signup_bonus', 'signup_bonus', 1), ('admin_adjustment', 'admin_adjustment', 0)
  $$;
  v_house constant text := $$
    create schema if not exists credits_before;
    revoke all on schema credits_before from public, anon, authenticated, service_role;
    comment on schema credits_before is 'Tables that were here before credits-db, as they were. Drop it when nobody needs them.';
  $$;
  v_move constant text := v_house || 'alter table %s set schema credits_before;';
  v_index constant text := 'drop index concurrently if exists public.%1$I; create index concurrently %1$I on %2$s (%3$s)';
  v_note constant text := 'insert into credits_private.adopted_relations (relation) values (%L) on conflict do nothing;';
  v_no_ledger constant text := $$
    create view credits_before.transactions as
    select
      null::uuid as user_id, null::timestamptz as at, ''::text as id, 'bonus'::public.credit_transaction_type as type,
      0::bigint as amount, null::text as description, '{}'::jsonb as metadata
    where false;
  $$;
  v_no_sales constant text := $$
    create view credits_before.purchases as
    select
      null::uuid as user_id, null::timestamptz as at, ''::text as store, ''::text as environment, ''::text as transaction_id,
      ''::text as product_id, ''::text as provider, 'failed'::public.purchase_status as status, 0::bigint as credits,
      null::bigint as price_cents, null::text as currency, '{}'::jsonb as payload, null::timestamptz as verified_at,
      null::timestamptz as created_at
    where false;
  $$;
  v_tables jsonb;
  v_columns jsonb;
  v_name text;
  v_balances text;
  v_balance text;
  v_total text := 'null';
  v_ledger text;
  v_sales text;
  v_at text;
  v_key text;
  v_words_there text;
  v_count bigint;
  v_wrong bigint;
  v_twice bigint;
  v_strangers bigint;
  v_sum numeric;
  v_kind text;
  v_other record;
begin
  select coalesce(jsonb_object_agg(c.relname, jsonb_build_object('kind', c.relkind, 'columns', a.columns)), '{}')
  into v_tables
  from pg_catalog.pg_class as c
  cross join lateral (
    select jsonb_object_agg(b.attname, format_type(b.atttypid, b.atttypmod)) as columns
    from pg_catalog.pg_attribute as b
    where b.attrelid = c.oid and b.attnum > 0 and not b.attisdropped
  ) as a
  where c.relnamespace = 'public'::regnamespace
    and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and c.relname = any (v_core || v_app || array['users', 'transactions']);

  -- whatever has one of our names and is not a table that we know
  for v_other in
    select o.name, o.kind, o.signature
    from (
      select
        c.relname as name, c.relnamespace as schema, c.relname as signature,
        case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' when 'f' then 'foreign table' else 'table' end as kind
      from pg_catalog.pg_class as c
      where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and not (c.relkind in ('r', 'p') and c.relname = any (v_core || v_app))
      union all
      select t.typname, t.typnamespace, t.typname, 'type'
      from pg_catalog.pg_type as t
      left join pg_catalog.pg_class as c on c.oid = t.typrelid
      where t.typtype in ('e', 'd') or c.relkind = 'c'
      union all
      select p.proname, p.pronamespace, p.oid::regprocedure::text, case p.prokind when 'p' then 'procedure' else 'function' end
      from pg_catalog.pg_proc as p
    ) as o
    where o.schema = 'public'::regnamespace and o.name = any (p_names)
    order by o.name, o.kind, o.signature
  loop
    action := 'refuse';
    object := 'public.' || v_other.name;
    words := format('There is a %s of this name.', v_other.kind);
    remedy := format(
      'alter %s %s rename to %I;',
      v_other.kind,
      case when v_other.kind in ('function', 'procedure') then v_other.signature else format('public.%I', v_other.name) end,
      v_other.name || '_before'
    );
    return next;
  end loop;
  -- what only their owner may do, and what row level security would hide
  for v_other in
    select c.relname as name, c.relowner::regrole::text as owner, row_security_active(c.oid) as is_hidden
    from pg_catalog.pg_class as c
    where c.relnamespace = 'public'::regnamespace
      and c.relkind in ('r', 'p')
      and c.relname = any (case when p_track = 'app' then v_app else v_core || array['profiles', 'users', 'transactions'] end)
      and (not pg_has_role(c.relowner, 'usage') or row_security_active(c.oid))
      and (p_track = 'app' or c.relname = any (v_core) or exists (
        select
        from pg_catalog.pg_attribute as a
        where a.attrelid = c.oid and not a.attisdropped and a.attname in ('credits', 'credits_balance', 'stripe_id')
      ))
  loop
    action := 'refuse';
    object := 'public.' || v_other.name;
    words := case
      when v_other.is_hidden then 'Row level security hides its rows from whoever pushes.'
      else format('It belongs to %s.', v_other.owner)
    end;
    remedy := case
      when v_other.is_hidden then format('alter table public.%I no force row level security;', v_other.name)
      else format('Push as %s.', v_other.owner)
    end;
    return next;
  end loop;
  if found then
    return;
  end if;
  for v_other in
    select c.relname as name
    from pg_catalog.pg_class as c
    where c.relnamespace = 'public'::regnamespace
      and c.relname = any (case when p_track = 'app' then v_app else v_core end)
      and (c.relkind = 'p' or exists (select from pg_catalog.pg_inherits as i where c.oid in (i.inhparent, i.inhrelid)))
  loop
    action := 'refuse';
    object := 'public.' || v_other.name;
    words := 'It is partitioned, or has children.';
    remedy := format('alter table public.%I rename to %I;', v_other.name, v_other.name || '_before');
    return next;
  end loop;
  for v_other in
    select c.relname as name
    from pg_catalog.pg_class as c
    where p_track = 'app'
      and c.relnamespace = 'public'::regnamespace
      and c.relname = any (v_app)
      and c.relkind = 'r'
      and not exists (
        select
        from pg_catalog.pg_index as i
        join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] and a.attname = 'id'
        where i.indrelid = c.oid and i.indisunique and i.indnkeyatts = 1 and i.indpred is null and i.indisvalid
      )
  loop
    action := 'refuse';
    object := 'public.' || v_other.name;
    words := 'Its id is not unique.';
    remedy := format('alter table public.%I add primary key (id);', v_other.name);
    return next;
  end loop;
  for v_other in
    select t.tgname as name, t.tgrelid::regclass::text as table_name
    from pg_catalog.pg_trigger as t
    join pg_catalog.pg_proc as p on p.oid = t.tgfoid
    where not t.tgisinternal
      and p.pronamespace <> coalesce(to_regnamespace('credits_private'), 0)
      and (
        t.tgrelid = 'auth.users'::regclass
          and t.tgname in ('open_account_on_signup', 'close_account_on_deletion', 'write_profile', 'remove_projects', 'remove_projects_softly')
        or p_track = 'app'
          and t.tgrelid in (select to_regclass('public.' || c.name) from unnest(v_app) as c (name))
          and t.tgname in ('remove_files', 'count_exports', 'touch')
      )
  loop
    action := 'refuse';
    object := v_other.table_name;
    words := format('Its trigger %I has the name of one of ours.', v_other.name);
    remedy := format('alter trigger %I on %s rename to %I;', v_other.name, v_other.table_name, v_other.name || '_before');
    return next;
  end loop;
  for v_other in
    select c.relname as name
    from pg_catalog.pg_class as c
    where p_track <> 'app'
      and c.relnamespace = to_regnamespace('credits_before')
      and c.relkind in ('r', 'p', 'v')
      and c.relname = any (v_core || array['balances', 'transactions', 'purchases'])
  loop
    action := 'refuse';
    object := 'credits_before.' || v_other.name;
    words := 'It is left from an earlier push.';
    remedy := 'alter schema credits_before rename to credits_before_that;';
    return next;
  end loop;
  for v_other in
    select a.attname as name
    from pg_catalog.pg_attribute as a
    where p_track = 'app'
      and a.attrelid = to_regclass('public.exports')
      and a.attnum > 0 and not a.attisdropped
      and a.attnotnull and not a.atthasdef and a.attidentity = ''
      and a.attname not in ('id', 'project_id', 'type', 'options', 'user_id', 'layer_ids', 'idempotency_key', 'paid_by', 'seq')
  loop
    action := 'refuse';
    object := 'public.exports';
    words := format('Its column %I must be filled, and an export for a credit does not know with what.', v_other.name);
    remedy := format('alter table public.exports alter column %I set default ...;', v_other.name);
    return next;
  end loop;
  for v_other in
    select k.conrelid::regclass::text as table_name, k.conname, k.confrelid::regclass::text as target
    from pg_catalog.pg_constraint as k
    where p_track <> 'app'
      and k.contype = 'f'
      and k.confrelid in (select to_regclass('public.' || c.name) from unnest(v_core) as c (name))
      and k.conrelid not in (select to_regclass('public.' || c.name) from unnest(v_core) as c (name) where to_regclass('public.' || c.name) is not null)
      and k.conparentid = 0
    order by 1, 2
  loop
    action := 'refuse';
    object := v_other.table_name;
    words := format('It refers to %s, which moves: no new row would find what it refers to.', v_other.target);
    remedy := format('alter table %s drop constraint %I;', v_other.table_name, v_other.conname);
    return next;
  end loop;
  for v_other in
    select distinct p.oid::regprocedure::text as signature
    from pg_catalog.pg_trigger as t
    join pg_catalog.pg_proc as p on p.oid = t.tgfoid
    where p_track <> 'app'
      and t.tgrelid = 'auth.users'::regclass
      and not t.tgisinternal
      and p.prosrc ~ '\m(user_credits|credit_transactions|purchase_transactions)\M'
      and p.pronamespace <> coalesce(to_regnamespace('credits_private'), 0)
  loop
    action := 'refuse';
    object := v_other.signature;
    words := 'It writes a table that becomes ours whenever somebody signs up or changes: sign-ups would fail.';
    remedy := 'Take that out of it: credits-db opens an account for everybody who signs up.';
    return next;
  end loop;
  for v_other in
    select distinct w.ev_class::regclass::text as view_name, d.refobjid::regclass::text as target
    from pg_catalog.pg_depend as d
    join pg_catalog.pg_rewrite as w on w.oid = d.objid
    where p_track <> 'app'
      and d.classid = 'pg_catalog.pg_rewrite'::regclass
      and d.refobjid in (select to_regclass('public.' || c.name) from unnest(v_core) as c (name))
      and w.ev_class <> d.refobjid
    order by 1
  loop
    action := 'leave';
    object := v_other.view_name;
    words := format('This view of yours goes on reading %s as it was before.', v_other.target);
    remedy := 'Make it anew afterwards.';
    return next;
  end loop;
  remedy := null;

  if p_track = 'app' then
    if exists (
      select
      from pg_catalog.pg_proc as p
      join pg_catalog.pg_class as c on c.reltype = p.proargtypes[0]
      where p.proname = 'credits' and p.pronamespace = 'public'::regnamespace and p.pronargs = 1
        and c.oid = to_regclass('public.profiles')
    ) then
      action := 'refuse';
      object := 'public.credits(public.profiles)';
      words := 'There is a function of this name, which would be a computed field of profiles.';
      remedy := 'alter function public.credits(public.profiles) rename to credits_before;';
      return next;
      remedy := null;
    end if;
    foreach v_name in array v_app loop
      continue when not v_tables ? v_name;
      v_columns := v_tables -> v_name -> 'columns';
      object := 'public.' || v_name;
      -- what the functions of the track read and write must have the type that they expect
      select string_agg(format('%s is %s and must be %s', w.column_name, coalesce(v_columns ->> w.column_name, 'missing'), w.type), ', ')
      into words
      from (
        values
          ('profiles', 'id', 'uuid'), ('profiles', 'email', 'text'),
          ('projects', 'id', 'uuid'), ('projects', 'user_id', 'uuid'), ('projects', 'source_image_path', 'text'),
          ('projects', 'manifest_path', 'text'), ('projects', 'thumbnail_path', 'text'),
          ('project_layers', 'id', 'uuid'), ('project_layers', 'project_id', 'uuid'), ('project_layers', 'png_path', 'text'),
          ('exports', 'id', 'uuid'), ('exports', 'project_id', 'uuid'), ('exports', 'type', 'text'),
          ('exports', 'options', 'jsonb'), ('exports', 'asset_path', 'text'), ('exports', 'user_id', 'uuid'),
          ('projects', 'updated_at', 'timestamp with time zone'), ('project_layers', 'created_at', 'timestamp with time zone'),
          ('exports', 'updated_at', 'timestamp with time zone'), ('profiles', 'updated_at', 'timestamp with time zone'),
          ('exports', 'layer_ids', 'uuid[]'), ('exports', 'idempotency_key', 'text'), ('exports', 'seq', 'bigint')
      ) as w (table_name, column_name, type)
      where w.table_name = v_name
        and (v_columns ? w.column_name or w.column_name in ('id', 'user_id', 'project_id') and w.table_name <> 'exports')
        and coalesce(v_columns ->> w.column_name, 'missing') <> w.type
        and not (w.type = 'text' and v_columns ->> w.column_name ~ '^character varying')
        and not (w.type = 'timestamp with time zone' and v_columns ->> w.column_name ~ v_times);
      if words is null and v_name = 'profiles' and v_columns ? 'user_id' then
        words := 'It has a user_id, so its id is not that of the user';
      elsif words is null and v_name = 'projects' then
        execute $$
          select count(*), count(*) filter (where u.id is null)
          from public.projects as p
          left join auth.users as u on u.id = p.user_id
          where p.user_id is not null
        $$ into v_count, v_strangers;
        if v_strangers > 0 and v_strangers = v_count and exists (
          select
          from pg_catalog.pg_constraint as k
          join pg_catalog.pg_attribute as a on a.attrelid = k.conrelid and k.conkey = array[a.attnum] and a.attname = 'user_id'
          where k.conrelid = 'public.projects'::regclass and k.contype = 'f' and k.confrelid <> 'auth.users'::regclass
        ) then
          words := 'Its user_id is not the id of a user in auth.users';
        end if;
      end if;
      if words is not null then
        action := 'refuse';
        words := words || '.';
        remedy := format('alter table %s rename to %I; or push without --with app.', object, v_name || '_before');
        return next;
        remedy := null;
        continue;
      end if;
      action := 'adopt';
      words := 'Stays as it is, with the columns that it lacks added.'
        || case v_name
          when 'projects' then ' A project goes with its user: the reference becomes ON DELETE CASCADE.'
          when 'profiles' then ''
          else ' A row goes with its project.'
        end
        || case
          when v_name = 'profiles' and v_columns ? 'credits' then ' Its column credits is not written any more: get_user_credits has the balance.'
          else ''
        end;
      ahead := case v_name
        when 'projects' then format(v_index, 'projects_user_id_created_at', object, 'user_id, created_at desc')
        when 'project_layers' then format(v_index, 'project_layers_project_id_z_index', object, 'project_id, z_index')
        when 'exports' then format(v_index, 'exports_project_id_created_at', object, 'project_id, created_at desc')
      end;
      if exists (
        select
        from pg_catalog.pg_index as i
        where i.indrelid = object::regclass and i.indisvalid and i.indpred is null
          and array(
            select a.attname::text
            from unnest(i.indkey) with ordinality as k (number, place)
            join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.number
            where k.place <= 2
            order by k.place
          ) = (case v_name
            when 'projects' then array['user_id', 'created_at']
            when 'project_layers' then array['project_id', 'z_index']
            else array['project_id', 'created_at']
          end)
      ) or not v_columns ? (case v_name when 'project_layers' then 'z_index' else 'created_at' end) then
        ahead := null;
      end if;
      return next;
      ahead := null;
      if exists (
        select
        from pg_catalog.pg_attribute as a
        cross join (values ('authenticated'), ('anon')) as r (role)
        where a.attrelid = to_regclass(object)
          and a.attname in ('source_image_path', 'manifest_path', 'thumbnail_path', 'png_path', 'asset_path')
          and (has_column_privilege(r.role, a.attrelid, a.attnum, 'insert') or has_column_privilege(r.role, a.attrelid, a.attnum, 'update'))
      ) then
        action := 'leave';
        words := 'Users may write its paths, and files of what is deleted are queued for removal.';
        remedy := 'Let your worker check that a file is theirs, or revoke these columns from authenticated.';
        return next;
        remedy := null;
      end if;
      for v_other in
        select p.policyname, p.cmd
        from pg_catalog.pg_policies as p
        where p.schemaname = 'public'
          and p.tablename = v_name
          and v_name = 'exports'
          and p.cmd in ('ALL', 'INSERT')
          and p.permissive = 'PERMISSIVE'
          and p.roles && array['public', 'authenticated', 'anon']::name[]
      loop
        action := 'leave';
        words := format('Its policy %I lets users make exports that nobody has paid for.', v_other.policyname);
        remedy := format('drop policy %I on %s;', v_other.policyname, object);
        return next;
        remedy := null;
      end loop;
    end loop;
    if v_tables ? 'users' then
      action := 'leave';
      object := 'public.users';
      words := 'Stays as it is: the view of this name is left out.';
      return next;
    end if;
    return;
  end if;

  -- the core: which of the known shapes are here?
  if v_tables #>> '{user_credits,kind}' in ('r', 'p') then
    v_columns := v_tables #> '{user_credits,columns}';
    if v_columns ->> 'user_id' = 'uuid' and v_columns ->> 'credits_remaining' ~ v_numbers then
      v_balances := 'public.user_credits';
      v_balance := 'b.credits_remaining';
    elsif v_columns ->> 'user_id' = 'uuid' and v_columns ->> 'total_credits' ~ v_numbers and v_columns ->> 'used_credits' ~ v_numbers then
      v_balances := 'public.user_credits';
      v_balance := 'b.total_credits - b.used_credits';
      v_total := 'b.total_credits';
    else
      action := 'refuse';
      object := 'public.user_credits';
      words := 'It has no user_id uuid with a number credits_remaining, or total_credits and used_credits.';
      remedy := 'alter table public.user_credits rename to user_credits_before;';
      return next;
      remedy := null;
    end if;
  elsif v_tables #>> '{profiles,kind}' in ('r', 'p')
    and 'uuid' in (v_tables #>> '{profiles,columns,user_id}', v_tables #>> '{profiles,columns,id}')
    and v_tables #>> '{profiles,columns,credits}' ~ v_numbers
  then
    v_balances := 'public.profiles';
    v_balance := 'b.credits';
  elsif v_tables #>> '{users,kind}' in ('r', 'p')
    and 'uuid' in (v_tables #>> '{users,columns,user_id}', v_tables #>> '{users,columns,id}')
    and v_tables #>> '{users,columns,credits_balance}' ~ v_numbers
  then
    v_balances := 'public.users';
    v_balance := 'b.credits_balance';
  end if;

  if v_tables #>> '{credit_transactions,kind}' in ('r', 'p') then
    v_columns := v_tables #> '{credit_transactions,columns}';
    if v_columns ->> 'user_id' = 'uuid' and v_columns ->> 'amount' ~ v_numbers and v_columns ? 'type' then
      v_ledger := 'public.credit_transactions';
    else
      action := 'refuse';
      object := 'public.credit_transactions';
      words := 'It has no user_id uuid with a number amount and a type.';
      remedy := 'alter table public.credit_transactions rename to credit_transactions_before;';
      return next;
      remedy := null;
    end if;
  elsif v_balances = 'public.users' and v_tables #>> '{transactions,kind}' in ('r', 'p') then
    v_columns := v_tables #> '{transactions,columns}';
    if v_columns ->> 'user_id' = 'uuid' and v_columns ->> 'amount' ~ v_numbers and v_columns ? 'type' then
      v_ledger := 'public.transactions';
    end if;
  end if;
  if v_ledger is not null then
    v_at := format('coalesce(%s)', concat_ws(
      ', ',
      case when v_columns ->> 'timestamp' ~ v_times then format(v_instant, 't."timestamp"') end,
      case when v_columns ->> 'created_at' ~ v_times then format(v_instant, 't.created_at') end,
      'null::timestamptz'
    ));
    v_key := case
      when exists (
        select
        from pg_catalog.pg_index as i
        join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] and a.attname = 'id'
        where i.indrelid = v_ledger::regclass and i.indisunique and i.indnkeyatts = 1 and i.indpred is null
      ) then 't.id'
      else format('row_number() over (partition by t.user_id order by %s, t.ctid)', v_at)
    end;
    execute format(
      $$
        select string_agg(format('%%s (%%s rows)', coalesce(w.word, 'null'), w.count), ', ' order by w.word)
        from (select lower(t.type::text) as word, count(*) as count from %s as t group by 1) as w
        where w.word not in (select k.word from (%s) as k (word, type, sign)) or w.word is null
      $$,
      v_ledger, v_words
    ) into v_words_there;
    execute format(
      'select count(*), count(*) filter (where t.amount <> trunc(t.amount) or abs(t.amount) > 1000000000000) from %s as t', v_ledger
    ) into v_count, v_wrong;
    object := v_ledger;
    if not exists (
      select
      from pg_catalog.pg_index as i
      join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] and a.attname = 'user_id'
      where i.indrelid = v_ledger::regclass and i.indisvalid and i.indpred is null
    ) then
      ahead := format(v_index, 'credits_before_user_id', v_ledger, 'user_id');
    end if;
    if v_words_there is not null then
      action := 'refuse';
      words := format('Nobody knows what these words in its column type mean: %s.', v_words_there);
      remedy := format(
        'update %s set type = ... where type = ...; the words are purchase, add, consumption, deduct, generation, refund, monthly_bonus, bonus and admin_adjustment.',
        v_ledger
      );
    elsif v_wrong > 0 then
      action := 'refuse';
      words := format('%s of its amounts are no whole numbers up to 1000000000000.', v_wrong);
      remedy := format('update %s set amount = ... where amount <> trunc(amount) or abs(amount) > 1000000000000;', v_ledger);
    else
      action := 'adopt';
      words := format('%s rows become the ledger''s past', v_count)
        || case when v_ledger = 'public.transactions' then '; the table stays as it is.' else '; the table moves to credits_before, as it is.' end;
      first := v_house;
      if v_ledger = 'public.credit_transactions' then
        first := format(v_move, 'public.credit_transactions');
        v_ledger := 'credits_before.credit_transactions';
      end if;
      afterwards := format(v_note, v_ledger) || format(
        $$
          create view credits_before.transactions as
          select
            t.user_id,
            %1$s as at,
            left((%2$s)::text, 200) as id,
            case when k.sign > 0 and t.amount < 0 then 'admin_adjustment' else k.type end::public.credit_transaction_type as type,
            (case k.sign when -1 then -abs(t.amount) else t.amount end)::bigint as amount,
            left((%3$s)::text, 500) as description,
            %4$s as metadata
          from %5$s as t
          join (%6$s) as k (word, type, sign) on k.word = lower(t.type::text)
          where t.amount <> 0
        $$,
        v_at,
        v_key,
        case when v_columns ? 'description' then 't.description' else 'null' end,
        case
          when v_columns ->> 'metadata' in ('jsonb', 'json') then
            $$case
              when jsonb_typeof(t.metadata::jsonb) = 'object' and pg_column_size(t.metadata::jsonb || '{}') <= 4096
                and octet_length(t.metadata::text) <= 16384
              then t.metadata::jsonb
              else '{}'
            end$$
          when v_columns ? 'stripe_id' then $$jsonb_strip_nulls(jsonb_build_object('stripe_id', t.stripe_id))$$
          else $$'{}'::jsonb$$
        end,
        v_ledger,
        v_words
      );
    end if;
    return next;
    remedy := null;
    ahead := null;
    first := null;
    afterwards := null;
  end if;

  if v_tables #>> '{purchase_transactions,kind}' in ('r', 'p') then
    v_columns := v_tables #> '{purchase_transactions,columns}';
    object := 'public.purchase_transactions';
    if v_columns ->> 'user_id' = 'uuid' and v_columns ?& array['transaction_id', 'product_id', 'status'] then
      v_sales := 'credits_before.purchase_transactions';
      execute $$
        select string_agg(distinct coalesce(t.status::text, 'null'), ', ')
        from public.purchase_transactions as t
        where t.status::text in ('pending', 'completed', 'failed', 'refunded') is not true
      $$ into v_words_there;
      execute 'select count(*) from public.purchase_transactions as t' into v_count;
    else
      v_words_there := 'columns';
    end if;
    if v_words_there is not null then
      action := 'refuse';
      words := case v_words_there
        when 'columns' then 'It has no user_id uuid with transaction_id, product_id and status.'
        else format('Nobody knows what these words in its column status mean: %s.', v_words_there)
      end;
      remedy := case v_words_there
        when 'columns' then 'alter table public.purchase_transactions rename to purchase_transactions_before;'
        else 'update public.purchase_transactions set status = ... where status = ...; the words are pending, completed, failed and refunded.'
      end;
    else
      action := 'adopt';
      words := format('%s purchases become known, so that none is credited again; the table moves to credits_before, as it is.', v_count);
      first := format(v_move, 'public.purchase_transactions');
      afterwards := format(v_note, v_sales) || format(
        $$
          create view credits_before.purchases as
          select
            p.user_id,
            coalesce(%1$s) as at,
            coalesce(
              lower(%2$s ->> 'store'),
              case
                when p.transaction_id ~ '^GPA[.]' then 'play_store'
                when p.transaction_id ~ '^(pi|in|cs|ch|sub)_' then 'stripe'
                when p.transaction_id ~ '^[0-9]+$' then 'app_store'
                else 'revenuecat'
              end
            ) as store,
            coalesce(upper(%2$s ->> 'environment'), 'PRODUCTION') as environment,
            p.transaction_id::text as transaction_id,
            p.product_id::text as product_id,
            'revenuecat' as provider,
            p.status::text::public.purchase_status as status,
            %3$s as credits,
            %4$s as price_cents,
            %5$s as currency,
            coalesce(%8$s, '{}') as payload,
            %6$s as verified_at,
            coalesce(%7$s) as created_at
          from credits_before.purchase_transactions as p
          where p.transaction_id is not null and p.product_id is not null
        $$,
        concat_ws(
          ', ',
          case when v_columns ->> 'verified_at' ~ v_times then format(v_instant, 'p.verified_at') end,
          case when v_columns ->> 'created_at' ~ v_times then format(v_instant, 'p.created_at') end,
          'null::timestamptz'
        ),
        case
          when v_columns ->> 'revenuecat_json' in ('jsonb', 'json') then $$coalesce(p.revenuecat_json::jsonb -> 'event', p.revenuecat_json::jsonb)$$
          else 'null::jsonb'
        end,
        case when v_columns ->> 'amount' ~ v_numbers then 'greatest(coalesce(p.amount, 0), 0)::bigint' else '0::bigint' end,
        case when v_columns ->> 'price_cents' ~ v_numbers then 'p.price_cents::bigint' else 'null::bigint' end,
        case when v_columns ? 'currency' then 'nullif(upper(btrim(p.currency::text)), '''')' else 'null::text' end,
        case when v_columns ->> 'verified_at' ~ v_times then format(v_instant, 'p.verified_at') else 'null::timestamptz' end,
        concat_ws(
          ', ',
          case when v_columns ->> 'created_at' ~ v_times then format(v_instant, 'p.created_at') end,
          case when v_columns ->> 'verified_at' ~ v_times then format(v_instant, 'p.verified_at') end,
          'null::timestamptz'
        ),
        case when v_columns ->> 'revenuecat_json' in ('jsonb', 'json') then 'p.revenuecat_json::jsonb' else 'null::jsonb' end
      );
    end if;
    return next;
    remedy := null;
    first := null;
    afterwards := null;
  elsif v_ledger = 'public.transactions' and v_tables #> '{transactions,columns}' ? 'stripe_id' then
    v_sales := v_ledger;
    action := 'adopt';
    object := v_ledger;
    words := 'Its Stripe ids become known, so that no payment is credited again.';
    afterwards := format(
      $$
        create view credits_before.purchases as
        select
          t.user_id, t.at, 'stripe'::text as store, 'PRODUCTION'::text as environment, t.metadata ->> 'stripe_id' as transaction_id,
          'before credits-db'::text as product_id, 'stripe'::text as provider, 'completed'::public.purchase_status as status,
          t.amount as credits, null::bigint as price_cents, null::text as currency, '{}'::jsonb as payload, t.at as verified_at,
          t.at as created_at
        from credits_before.transactions as t
        where t.type = 'purchase' and t.metadata ? 'stripe_id'
      $$
    );
    return next;
    afterwards := null;
  end if;

  if v_balances is not null then
    v_columns := v_tables -> substr(v_balances, 8) -> 'columns';
    v_key := case when v_columns ->> 'user_id' = 'uuid' then 'b.user_id' else 'b.id' end;
    execute format(
      $$
        select
          count(*),
          coalesce(sum(%1$s) filter (where u.id is not null), 0),
          count(*) filter (where %1$s <> trunc(%1$s) or abs(%1$s) > 1000000000000),
          count(%2$s) - count(distinct %2$s),
          count(*) filter (where u.id is null)
        from %3$s as b
        left join auth.users as u on u.id = %2$s
      $$,
      v_balance, v_key, v_balances
    ) into v_count, v_sum, v_wrong, v_twice, v_strangers;
    object := v_balances;
    if v_wrong > 0 then
      action := 'refuse';
      words := format('%s of its balances are no whole numbers up to 1000000000000.', v_wrong);
      remedy := format('update %s as b set ... where %s <> trunc(%s);', v_balances, v_balance, v_balance);
    elsif v_strangers > 0 and v_strangers = v_count then
      action := 'refuse';
      words := 'None of its rows is of a user in auth.users.';
      remedy := format('select %s from %s as b;', v_key, v_balances);
    elsif v_twice > 0 then
      action := 'refuse';
      words := format('%s of its users have several balances.', v_twice);
      remedy := format('select %s, count(*) from %s as b group by 1 having count(*) > 1;', v_key, v_balances);
    else
      action := 'adopt';
      words := format(
        '%s balances, %s credits in all, are taken over, and nobody of these gets a signup bonus', v_count - v_strangers, v_sum
      )
        || case when v_balances = 'public.user_credits' then '; the table moves to credits_before, as it is.' else '; the table stays as it is.' end
        || case when v_strangers > 0 then format(' %s more are of nobody who is here and are left.', v_strangers) else '' end
        || case
          when v_columns ? 'monthly_bonus_credits' then ' Monthly bonuses are granted by set_recurring_grant from now on.'
          else ''
        end;
      if v_balances = 'public.user_credits' then
        first := format(v_move, 'public.user_credits');
        v_balances := 'credits_before.user_credits';
      end if;
      v_kind := case v_balances when 'credits_before.user_credits' then 'view' else 'table' end;
      afterwards := format(v_note, v_balances)
        || case when v_ledger is null then v_no_ledger else '' end
        || case when v_sales is null then v_no_sales else '' end
        || format(
        $$
          create %8$s credits_before.balances as
          select
            %1$s as user_id,
            coalesce(%2$s, 0)::bigint as credits,
            (%3$s)::bigint as total,
            (%4$s)::timestamptz as created_at,
            (%5$s)::timestamptz as last_bonus_date,
            (%6$s)::timestamptz as last_purchase_at
          from %7$s as b
          where %1$s is not null;
          revoke all on credits_before.balances from public, anon, authenticated, service_role;
        $$,
        v_key, v_balance, v_total,
        case when v_columns ->> 'created_at' ~ v_times then format(v_instant, 'b.created_at') else 'null::timestamptz' end,
        case when v_columns ->> 'last_bonus_date' ~ v_times then format(v_instant, 'b.last_bonus_date') else 'null::timestamptz' end,
        case when v_columns ->> 'last_purchase_at' ~ v_times then format(v_instant, 'b.last_purchase_at') else 'null::timestamptz' end,
        v_balances, v_kind
      ) || case
        -- the app of before goes on writing it: what counts is this instant
        when v_kind = 'table' then 'create unique index on credits_before.balances (user_id);'
        else ''
      end;
    end if;
    return next;
  elsif v_ledger is not null then
    action := 'adopt';
    object := v_ledger;
    words := 'There is no balance beside it: what its rows add up to is taken over.';
    afterwards := case when v_sales is null then v_no_sales else '' end || $$
      create view credits_before.balances as
      select
        t.user_id, sum(t.amount)::bigint as credits, null::bigint as total, min(t.at) as created_at,
        null::timestamptz as last_bonus_date, null::timestamptz as last_purchase_at
      from credits_before.transactions as t
      group by t.user_id
    $$;
    return next;
  elsif v_sales is not null then
    action := 'refuse';
    object := 'public.purchase_transactions';
    words := 'There is no balance beside it, so nobody knows what of these purchases was spent.';
    remedy := 'alter table public.purchase_transactions rename to purchase_transactions_before;';
    return next;
  end if;

  for v_other in
    select p.oid::regprocedure::text as signature
    from pg_catalog.pg_proc as p
    join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'credits_private')
      and n.nspname !~ '^pg_temp'
      and p.prosrc ~ '\m(user_credits|credit_transactions|purchase_transactions)\M'
      and v_tables ?| v_core
      and p.proname <> all (p_names)
      and not exists (select from pg_catalog.pg_depend as d where d.objid = p.oid and d.deptype = 'e')
    order by 1
  loop
    action := 'leave';
    object := v_other.signature;
    words := 'This function of yours names a table that becomes ours: it will find credits-db''s columns.';
    remedy := 'Call consume_credit_for or add_credits_for in it, or drop it.';
    first := null;
    afterwards := null;
    return next;
  end loop;
end;
$plan$;
