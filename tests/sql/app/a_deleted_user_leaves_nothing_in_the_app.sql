-- Whichever way a user goes, nothing of them stays in the tables of the app: not the counter of deleted exports either,
-- which the deletion of their exports would write anew.

begin;
select plan(10);

insert into auth.users (id, email)
select format('ada00000-0000-4000-8000-00000000000%s', n)::uuid, format('ada%s@example.com', n) from generate_series(1, 4) as n;
insert into auth.users (id, email) values ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
insert into public.projects (user_id, source_image_path) select u.id, u.id || '/cat.png' from auth.users as u, generate_series(1, 2);
insert into public.project_layers (project_id, png_path) select p.id, p.user_id || '/layer.png' from public.projects as p;
select public.consume_credit_and_create_export_for(p.user_id, p.id, 'png', idempotency_key => p.id::text) from public.projects as p;
delete from public.projects where id in (select distinct on (user_id) id from public.projects order by user_id, id);

-- rows that mention a word, but for the queue of files and the notes that end with the transaction
create function pg_temp.mentions(word text)
  returns setof text
  language plpgsql
as $$
declare
  v_table regclass;
  v_found boolean;
begin
  for v_table in
    select c.oid
    from pg_catalog.pg_class as c
    where c.relnamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
      and c.relkind in ('r', 'p')
      and c.relname not in ('outbox', 'deleted_projects')
  loop
    execute format('select exists (select from %s as t where t::text ilike %L)', v_table, '%' || word || '%') into v_found;
    if v_found then
      return next v_table::text;
    end if;
  end loop;
end;
$$;
select is((select count(*) from credits_private.deleted_exports), 5::bigint, 'Everybody has had an export deleted.');

delete from auth.users where id = 'ada00000-0000-4000-8000-000000000001';
select is_empty($$ select * from pg_temp.mentions('ada00000-0000-4000-8000-000000000001') $$, 'Who is deleted by hand is nowhere.');
select is_empty($$ select * from pg_temp.mentions('ada1@example.com') $$, 'Nor is their address.');

select public.delete_user_account_for('ada00000-0000-4000-8000-000000000002');
select is_empty($$ select * from pg_temp.mentions('ada00000-0000-4000-8000-000000000002') $$, 'Who is deleted by a service is nowhere.');

update auth.users set deleted_at = now() where id = 'ada00000-0000-4000-8000-000000000003';
select is_empty(
  $$
    select from public.profiles where id = 'ada00000-0000-4000-8000-000000000003'
    union all
    select from public.projects where user_id = 'ada00000-0000-4000-8000-000000000003'
    union all
    select from credits_private.deleted_exports where user_id = 'ada00000-0000-4000-8000-000000000003'
    union all
    select from credits_private.export_keys where user_id = 'ada00000-0000-4000-8000-000000000003'
  $$,
  'Who is soft-deleted has no row in the app.'
);
select results_eq('select count(*) from public.exports', 'values (2::bigint)', 'The exports went along.');
update auth.users set email = 'late@example.com' where id = 'ada00000-0000-4000-8000-000000000003';
select is_empty($$ select from public.profiles where id = 'ada00000-0000-4000-8000-000000000003' $$, 'And does not come back.');

-- a project that a service has given away takes what its first user paid for along
update public.projects set user_id = 'bea00000-0000-4000-8000-000000000000' where user_id = 'ada00000-0000-4000-8000-000000000004';
delete from auth.users where id = 'ada00000-0000-4000-8000-000000000004';
select is_empty(
  $$ select from public.exports where user_id = 'ada00000-0000-4000-8000-000000000004' $$, 'An export in somebody else''s project forgets who paid.'
);
select results_eq('select count(*) from public.exports', 'values (2::bigint)', 'It stays.');

select results_eq(
  $$ select count, (select count(*) from public.profiles), (select count(*) from public.projects) from credits_private.deleted_exports $$,
  'values (1::bigint, 1::bigint, 2::bigint)', 'Who was not deleted has everything.'
);

select * from finish();
rollback;
