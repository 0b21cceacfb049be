-- An export takes one credit and names the ledger row that paid for it. Whatever goes wrong after the credit was taken,
-- also in a trigger of the host's, undoes the charge.

begin;
select plan(9);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
insert into public.projects (id, user_id)
values ('b0000000-0000-4000-8000-000000000000', 'ada00000-0000-4000-8000-000000000000');
select credits_private.set_setting('export_entitlement', '');

create temp view books as
select a.credits_remaining, a.used_credits, a.last_seq, (select count(*) from public.exports) as exports
from public.user_credits as a;
grant select on books to public;

set local role service_role;
select results_eq(
  $$
    select project_id, type, status, options, user_id, layer_ids, idempotency_key collate "default", paid_by::text, seq
    from public.consume_credit_and_create_export_for(
      'ada00000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000000', 'png', '{"scale": 2}', null, 'job-1'
    )
  $$,
  $$
    values (
      'b0000000-0000-4000-8000-000000000000'::uuid, 'png', 'pending', '{"scale": 2}'::jsonb,
      'ada00000-0000-4000-8000-000000000000'::uuid, null::uuid[], 'job-1', 'credits', 2::bigint
    )
  $$,
  'The export says what it is and which ledger row has paid.'
);
select results_eq(
  $$
    select t.amount, t.type::text, t.description, t.idempotency_key collate "default", t.metadata
    from public.credit_transactions as t
    where t.seq = 2
  $$,
  $$
    select -1::bigint, 'consumption', 'Export', 'job-1', jsonb_build_object('project_id', e.project_id, 'export_id', e.id)
    from public.exports as e
  $$,
  'The ledger row says which export it was for, and has its key.'
);
reset role;

create function pg_temp.refuse() returns trigger language plpgsql as 'begin raise ''disk full''; end';
create trigger a_host_refuses after insert on public.exports for each row execute function pg_temp.refuse();
select throws_ok(
  $$
    select public.consume_credit_and_create_export_for(
      'ada00000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000000', 'png'
    )
  $$,
  'P0001', 'disk full', 'A trigger of the host''s may refuse an export.'
);
select results_eq('select * from books', 'values (2::bigint, 1::bigint, 2::bigint, 1::bigint)', 'Then no credit is taken.');
drop trigger a_host_refuses on public.exports;

create function pg_temp.swallow() returns trigger language plpgsql as 'begin return null; end';
create trigger a_host_swallows before insert on public.exports for each row execute function pg_temp.swallow();
select throws_ok(
  $$
    select public.consume_credit_and_create_export_for(
      'ada00000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000000', 'png'
    )
  $$,
  'P0002', null, 'One that is swallowed is not paid for either.'
);
select results_eq('select * from books', 'values (2::bigint, 1::bigint, 2::bigint, 1::bigint)', 'No credit is taken for nothing.');
drop trigger a_host_swallows on public.exports;

select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', 2);
select throws_ok(
  $$
    select public.consume_credit_and_create_export_for(
      'ada00000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000000', 'png'
    )
  $$,
  'PT402', 'insufficient_credits', 'Without a credit there is no export.'
);
select results_eq('select * from books', 'values (0::bigint, 3::bigint, 3::bigint, 1::bigint)', 'And none is made.');
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
