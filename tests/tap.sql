-- A stand-in for pgTAP: the functions that tests/sql calls, for servers that do not have the extension.
--
-- Written from pgTAP's documentation, so a file runs unchanged with either: the same names, the same order of
-- arguments, the same lines. Results are counted in settings of the transaction, which survive a change of role,
-- work in a read-only transaction, and go with the rollback that ends a file. Goes into schema tap, which the
-- runner makes and puts on the search path.

create schema if not exists tap;

create or replace function tap.plan(tests integer)
  returns text
  language plpgsql
as $$
begin
  if coalesce(current_setting('tap.planned', true), '') <> '' then
    raise exception 'You tried to plan twice!';
  end if;
  perform set_config('tap.planned', tests::text, true);
  perform set_config('tap.ran', '0', true);
  perform set_config('tap.failed', '0', true);
  return '1..' || tests;
end;
$$;

create or replace function tap.ok(passed boolean, description text)
  returns text
  language plpgsql
as $$
declare
  v_number text := (current_setting('tap.ran')::integer + 1)::text;
begin
  perform set_config('tap.ran', v_number, true);
  if passed then
    return format('ok %s - %s', v_number, description);
  end if;
  perform set_config('tap.failed', (current_setting('tap.failed')::integer + 1)::text, true);
  return format(E'not ok %s - %s\n# Failed test %s: "%s"', v_number, description, v_number, description)
    || case when passed is null then E'\n#     (test result was NULL)' else '' end;
end;
$$;

create or replace function tap.is(have anyelement, want anyelement, description text)
  returns text
  language plpgsql
as $$
begin
  if have is not distinct from want then
    return tap.ok(true, description);
  end if;
  return tap.ok(false, description)
    || format(E'\n#         have: %s\n#         want: %s', coalesce(have::text, 'NULL'), coalesce(want::text, 'NULL'));
end;
$$;

create or replace function tap.isnt(have anyelement, want anyelement, description text)
  returns text
  language plpgsql
as $$
begin
  if have is distinct from want then
    return tap.ok(true, description);
  end if;
  return tap.ok(false, description)
    || format(E'\n#         have: %s\n#         want: anything else', coalesce(have::text, 'NULL'));
end;
$$;

create or replace function tap.is_empty(query text, description text)
  returns text
  language plpgsql
as $$
declare
  v_row record;
  v_rows text := '';
begin
  for v_row in execute query loop
    v_rows := v_rows || E'\n#         ' || v_row::text;
  end loop;
  if v_rows = '' then
    return tap.ok(true, description);
  end if;
  return tap.ok(false, description) || E'\n#     Unexpected records:' || v_rows;
end;
$$;

create or replace function tap.results_eq(have text, want text, description text)
  returns text
  language plpgsql
as $$
declare
  v_have_rows refcursor;
  v_want_rows refcursor;
  v_have record;
  v_want record;
  v_more_have boolean;
  v_more_want boolean;
  v_number integer := 0;
begin
  open v_have_rows for execute have;
  open v_want_rows for execute want;
  loop
    fetch v_have_rows into v_have;
    v_more_have := found;
    fetch v_want_rows into v_want;
    v_more_want := found;
    v_number := v_number + 1;
    exit when not v_more_have and not v_more_want;
    if v_more_have <> v_more_want or v_have is distinct from v_want then
      close v_have_rows;
      close v_want_rows;
      return tap.ok(false, description) || format(
        E'\n#     Results differ beginning at row %s:\n#         have: %s\n#         want: %s',
        v_number,
        case when v_more_have then v_have::text else 'NULL' end,
        case when v_more_want then v_want::text else 'NULL' end
      );
    end if;
  end loop;
  close v_have_rows;
  close v_want_rows;
  return tap.ok(true, description);
exception
  when datatype_mismatch then
    return tap.ok(false, description) || format(
      E'\n#     Number of columns or their types differ between the queries:\n#         have: %s\n#         want: %s',
      v_have::text, v_want::text
    );
end;
$$;

create or replace function tap.throws_ok(query text, errcode text, message text, description text)
  returns text
  language plpgsql
as $$
declare
  v_caught text := 'no exception';
  v_as_wanted boolean := false;
begin
  begin
    execute query;
  exception
    when others then
      v_caught := sqlstate || ': ' || sqlerrm;
      v_as_wanted := coalesce(sqlstate = errcode, true) and coalesce(sqlerrm = message, true);
  end;
  if v_as_wanted then
    return tap.ok(true, description);
  end if;
  return tap.ok(false, description) || format(
    E'\n#       caught: %s\n#       wanted: %s', v_caught, coalesce(nullif(concat_ws(': ', errcode, message), ''), 'an exception')
  );
end;
$$;

create or replace function tap.lives_ok(query text, description text)
  returns text
  language plpgsql
as $$
declare
  v_died text;
begin
  begin
    execute query;
  exception
    when others then
      v_died := sqlstate || ': ' || sqlerrm;
  end;
  if v_died is null then
    return tap.ok(true, description);
  end if;
  return tap.ok(false, description) || E'\n#     died: ' || v_died;
end;
$$;

create or replace function tap.finish()
  returns setof text
  language plpgsql
as $$
declare
  v_planned integer := current_setting('tap.planned');
  v_ran integer := current_setting('tap.ran');
  v_failed integer := current_setting('tap.failed');
begin
  if v_ran <> v_planned then
    return next format('# Looks like you planned %s tests but ran %s', v_planned, v_ran);
  elsif v_failed > 0 then
    return next format('# Looks like you failed %s tests of %s', v_failed, v_ran);
  end if;
end;
$$;

grant usage on schema tap to public;
grant execute on all functions in schema tap to public;
