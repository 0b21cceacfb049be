-- export_user_data: everything that is held about a user, for the user who asks for it.
--
-- Rows as they are, of every table that personal_data lists, without the columns that it conceals. A body that Postgres
-- has no jsonb for comes as text. Reads; locks and writes nothing.

create or replace function credits_private.export_user_data(p_user_id uuid)
  returns jsonb
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_address pg_catalog.text;
  v_place credits_private.personal_data;
  v_rows pg_catalog.jsonb;
  v_tables pg_catalog.jsonb := '{}'::pg_catalog.jsonb;
begin
  if p_user_id is null then
    raise exception using
      errcode = 'PT401',
      message = 'not_authenticated',
      detail = '{}',
      hint = 'The user id is null: nobody is signed in.';
  end if;
  -- an address that was never confirmed may be somebody else's
  select case when to_jsonb(u) ->> 'email_confirmed_at' is not null then lower(u.email) end
  into v_address
  from auth.users as u
  where u.id = p_user_id;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'account_not_found',
      detail = '{}',
      hint = 'There is no such user.';
  end if;
  for v_place in
    select d.* from credits_private.personal_data as d where to_regclass(d.relation) is not null
  loop
    execute format(
      $query$
        select coalesce(jsonb_agg(r.shown), '[]')
        from (
          select (
            select jsonb_object_agg(c.key, coalesce(credits_private.read_json(c.value), to_jsonb(c.value::pg_catalog.text)))
            from json_each(row_to_json(t)) as c
            where c.key not like all ($3)
          ) as shown
          from %s as t
          where %s
        ) as r
      $query$,
      to_regclass(v_place.relation), v_place.predicate
    )
    into v_rows
    using p_user_id, v_address, v_place.concealed;
    v_tables := v_tables || jsonb_build_object(v_place.relation, v_rows);
  end loop;
  return jsonb_build_object('user_id', p_user_id, 'exported_at', credits_private.now(), 'tables', v_tables);
end;
$$;

comment on function credits_private.export_user_data(uuid) is
  'Everything that is held about a user, table by table. Raises PT401 not_authenticated for null and PT404 account_not_found.';

revoke all on function credits_private.export_user_data(uuid) from public, anon, authenticated, service_role;
