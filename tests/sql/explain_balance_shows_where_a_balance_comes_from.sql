-- explain_balance_for gathers in one JSON object what support needs for an answer: figures, totals by type,
-- the newest rows, and whether the books add up. What has a life of its own is told in explain_balance_tells_of_lots_holds_and_debts.

begin;
select plan(7);

insert into auth.users (id, email)
values
  ('ada00000-0000-4000-8000-000000000000', 'ada@example.com'),
  ('bea00000-0000-4000-8000-000000000000', 'bea@example.com');
select public.add_credits_for('ada00000-0000-4000-8000-000000000000', 10, 'purchase', null, 'A pack', '{"order": 7}', 'order-7');
select public.consume_credit_for('ada00000-0000-4000-8000-000000000000', n) from generate_series(1, 4) as n;
select public.reserve_credits_for('ada00000-0000-4000-8000-000000000000', 1, '15 min', 'A render');

set local role service_role;
select is(
  public.explain_balance_for('ada00000-0000-4000-8000-000000000000') - array['latest', 'as_of', 'holds', 'summary'],
  '{
    "user_id": "ada00000-0000-4000-8000-000000000000",
    "credits_available": 2,
    "credits_remaining": 3,
    "credits_held": 1,
    "total_credits": 13,
    "used_credits": 10,
    "operations": 6, "unwritten": 0,
    "by_type": {
      "signup_bonus": {"credits": 3, "operations": 1},
      "purchase": {"credits": 10, "operations": 1},
      "consumption": {"credits": -10, "operations": 4}
    },
    "lots": [],
    "recurring_grants": [],
    "debts": [],
    "adds_up": true
  }',
  'It holds the figures and the totals by type.'
);
select is(
  (public.explain_balance_for('ada00000-0000-4000-8000-000000000000') #> '{holds, 0}') - array['id', 'created_at', 'expires_at'],
  '{"amount": 1, "description": "A render"}',
  'It holds what is held, and for what.'
);
select is(
  jsonb_path_query_array(public.explain_balance_for('ada00000-0000-4000-8000-000000000000'), '$.latest[*].seq'),
  '[6, 5, 4, 3, 2]',
  'It holds the five newest rows, newest first.'
);
select is(
  (public.explain_balance_for('ada00000-0000-4000-8000-000000000000') #> '{latest, 4}') - 'created_at',
  '{
    "seq": 2,
    "type": "purchase",
    "amount": 10,
    "balance_after": 13,
    "description": "A pack",
    "metadata": {"order": 7},
    "idempotency_key": "order-7"
  }',
  'Each row says what the ledger says.'
);

reset role;
update public.user_credits set credits_remaining = 4, total_credits = 14 where user_id = 'ada00000-0000-4000-8000-000000000000';
set local role service_role;
select is(
  public.explain_balance_for('ada00000-0000-4000-8000-000000000000') -> 'adds_up', 'false',
  'It says when the books do not add up.'
);
select is(
  public.explain_balance_for('bea00000-0000-4000-8000-000000000000') -> 'adds_up', 'true',
  'The books of one user are not those of another.'
);

reset role;
set local session_replication_role = replica;
insert into auth.users (id, email) values ('fae00000-0000-4000-8000-000000000000', 'fae@example.com');
set local session_replication_role = origin;
set local role service_role;
select is(
  public.explain_balance_for('fae00000-0000-4000-8000-000000000000') - array['user_id', 'as_of', 'summary'],
  '{
    "credits_available": 3,
    "credits_remaining": 3,
    "credits_held": 0,
    "total_credits": 3,
    "used_credits": 0,
    "operations": 0, "unwritten": 3,
    "by_type": {},
    "latest": [],
    "lots": [],
    "holds": [],
    "recurring_grants": [],
    "debts": [],
    "adds_up": true
  }',
  'For a user whose account is not open yet it shows what opening would give.'
);

select * from finish();
rollback;
