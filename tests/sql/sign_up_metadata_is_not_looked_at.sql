-- What users say about themselves when they sign up changes neither their credits nor whether they can.

begin;
select plan(3);

select lives_ok(
  $$
    insert into auth.users (id, email, raw_user_meta_data, raw_app_meta_data)
    select
      ('ada00000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
      format('ada%s@example.com', n),
      metadata,
      metadata
    from (
      values
        (1, '{"credits": 999999, "credits_remaining": 999999, "signup_bonus": 999999, "amount": 999999}'::jsonb),
        (2, '{"credits": "lots"}'),
        (3, '{"credits": -5, "is_anonymous": true, "role": "service_role", "user_id": 7}'),
        (4, '[1, 2, 3]'),
        (5, '"credits"'),
        (6, '1e9000'),
        (7, 'null'),
        (8, null),
        (9, jsonb_build_object('name', repeat('x', 100000))),
        (10, '{"name": "''; drop table public.user_credits; --"}')
    ) as signups (n, metadata)
  $$,
  'Everybody can sign up, whatever their metadata.'
);
select results_eq(
  'select distinct credits_remaining, total_credits, used_credits, last_seq from public.user_credits',
  'values (3::bigint, 3::bigint, 0::bigint, 1::bigint)',
  'Everybody has 3 credits.'
);
select is_empty(
  $$ select * from public.credit_transactions where metadata <> '{}' or description <> 'Signup bonus' $$,
  'None of it is in the ledger.'
);

select * from finish();
rollback;
