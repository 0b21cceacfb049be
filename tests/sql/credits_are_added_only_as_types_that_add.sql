-- add_credits_for takes the types that mean new credits. What gives back something taken, or takes, has
-- other ways; and what has expired already is not added at all.

begin;
select plan(23);

insert into auth.users (id, email) values ('ada00000-0000-4000-8000-000000000000', 'ada@example.com');
set local role service_role;

select results_eq(
  format($$ select seq, type::text, amount, balance_after from public.add_credits_for('ada00000-0000-4000-8000-000000000000', 2, %L) $$, type),
  format('values (%s::bigint, %L, 2::bigint, %s::bigint)', place + 1, type, 3 + 2 * place),
  format('Credits can be added as %s.', type)
)
from unnest(array['purchase', 'signup_bonus', 'monthly_bonus', 'bonus', 'admin_adjustment']) with ordinality as allowed (type, place)
order by place;

select throws_ok(
  format($$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 2, %L) $$, type),
  '22023', 'invalid_argument',
  format('Credits cannot be added as %s.', type)
)
from unnest(array['consumption', 'refund', 'clawback', 'clawback_reversal', 'expiration']) as refused (type);
select throws_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 2, null) $$,
  '22023', 'invalid_argument',
  'Credits cannot be added as null.'
);
select throws_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 2, 'gift') $$,
  '22P02', null,
  'A type that does not exist is an error of Postgres itself.'
);
select is(
  (select enum_range(null::public.credit_transaction_type)::text),
  '{purchase,signup_bonus,monthly_bonus,bonus,consumption,refund,clawback,clawback_reversal,expiration,admin_adjustment}',
  'These are all types that there are.'
);

select throws_ok(
  format($$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 2, 'bonus', %L) $$, instant),
  '22023', 'invalid_argument',
  format('Credits that expire at %s are refused.', what)
)
from (
  values
    ('-infinity'::timestamptz, 'the beginning of time'),
    ('infinity', 'its end'),
    ('0044-03-15 12:00:00+00 BC', 'the death of Caesar'),
    (clock_timestamp() - interval '1 day', 'an instant of yesterday'),
    (statement_timestamp(), 'this very instant')
) as instants (instant, what);
select lives_ok(
  $$ select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 2, 'bonus', '294276-12-31 23:59:59+00') $$,
  'They may expire at any instant to come.'
);

select results_eq(
  $$
    select type::text, amount, description, metadata, idempotency_key collate "default"
    from public.add_credits_for('ada00000-0000-4000-8000-000000000000', 4)
  $$,
  $$ values ('bonus', 4::bigint, null::text, '{}'::jsonb, null::text) $$,
  'Without a type it is a bonus.'
);
select results_eq(
  $$
    select type::text, amount, description, metadata, idempotency_key collate "default"
    from public.add_credits_for(
      'ada00000-0000-4000-8000-000000000000', 5, 'purchase',
      description => 'A pack', metadata => '{"order": 7}', idempotency_key => 'order-7'
    )
  $$,
  $$ values ('purchase', 5::bigint, 'A pack', '{"order": 7}'::jsonb, 'order-7') $$,
  'The row holds what the service said about it.'
);
select results_eq(
  'select credits_remaining, total_credits, used_credits, last_seq from public.user_credits',
  'values (24::bigint, 24::bigint, 0::bigint, 9::bigint)',
  'Everything that was added counts in the total, nothing as used.'
);

reset role;
select is_empty('select * from public.verify_ledger()', 'The books add up.');

select * from finish();
rollback;
