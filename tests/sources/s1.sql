-- Per-export pricing, third plan: the balance with its history, as the app's CreditsService reads and writes them.
--
-- The balance is moved by the service, so nothing in the database promises that the history adds up to it.
-- Users 1 to 8 are in auth.users already (tests/test_adoption.py).

create or replace function public.set_updated_at()
returns trigger as $$
begin
  new.updated_at := now();
  return new;
end;
$$ language plpgsql;

create table public.user_credits (
  user_id uuid primary key references auth.users (id) on delete cascade,
  credits_remaining integer not null default 0 check (credits_remaining >= 0),
  monthly_bonus_credits integer default 0,
  last_bonus_date timestamptz,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

create table public.credit_transactions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  type text not null,
  amount integer not null,
  balance_after integer not null,
  description text,
  metadata jsonb,
  created_at timestamptz not null default now()
);

create index credit_transactions_user_id_created_at on public.credit_transactions (user_id, created_at desc);

alter table public.user_credits enable row level security;
alter table public.credit_transactions enable row level security;
create policy "Users can view own credits" on public.user_credits
  for select using (auth.uid() = user_id);
create policy "Users can update own credits" on public.user_credits
  for update using (auth.uid() = user_id);
create policy "Users can view own credit transactions" on public.credit_transactions
  for select using (auth.uid() = user_id);

create trigger set_updated_at before update on public.user_credits
  for each row execute function public.set_updated_at();

do $$
begin
  if exists (select from pg_publication where pubname = 'supabase_realtime') then
    alter publication supabase_realtime add table public.user_credits;
  end if;
end;
$$;

-- 2 has spent all, 3 never had any, 4 has a row of history but no balance, 5's history is out of order and begins with
-- a consumption, 6's consumptions are positive, 7's texts are too long, 8 is anonymous
insert into public.user_credits (user_id, credits_remaining, monthly_bonus_credits, last_bonus_date, created_at)
values
  ('00000000-0000-4000-8000-000000000001', 12, 5, '2026-03-01 00:00+00', '2026-02-08 09:00+00'),
  ('00000000-0000-4000-8000-000000000002', 0, 0, null, '2026-02-09 09:00+00'),
  ('00000000-0000-4000-8000-000000000003', 0, 0, null, '2026-02-10 09:00+00'),
  ('00000000-0000-4000-8000-000000000005', 8, 0, null, '2026-02-11 09:00+00'),
  ('00000000-0000-4000-8000-000000000006', 9, 0, null, '2026-02-12 09:00+00'),
  ('00000000-0000-4000-8000-000000000007', 20, 0, null, '2026-02-13 09:00+00'),
  ('00000000-0000-4000-8000-000000000008', 4, 0, null, '2026-02-14 09:00+00');

insert into public.credit_transactions (id, user_id, type, amount, balance_after, description, metadata, created_at)
values
  (
    '00000000-0000-4000-a000-000000000101', '00000000-0000-4000-8000-000000000001', 'purchase', 10, 10,
    '10 credits', '{"product_id": "credits_10"}', '2026-02-08 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000102', '00000000-0000-4000-8000-000000000001', 'monthlyBonus', 5, 15,
    'Pro bonus', null, '2026-03-01 00:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000103', '00000000-0000-4000-8000-000000000001', 'consumption', -3, 12,
    'Export', '{"project_id": "p", "export_id": "e"}', '2026-03-02 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000201', '00000000-0000-4000-8000-000000000002', 'bonus', 2, 2,
    null, '{}', '2026-02-09 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000202', '00000000-0000-4000-8000-000000000002', 'consumption', -2, 0,
    null, '{}', '2026-02-09 11:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000401', '00000000-0000-4000-8000-000000000004', 'bonus', 2, 2,
    'Nobody wrote the balance', null, '2026-02-10 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000503', '00000000-0000-4000-8000-000000000005', 'refund', 2, 8,
    'Failed export', null, '2026-02-20 12:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000502', '00000000-0000-4000-8000-000000000005', 'purchase', 10, 6,
    null, null, '2026-02-20 11:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000501', '00000000-0000-4000-8000-000000000005', 'consumption', -4, -4,
    null, null, '2026-02-20 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000601', '00000000-0000-4000-8000-000000000006', 'purchase', 10, 10,
    null, null, '2026-02-12 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000602', '00000000-0000-4000-8000-000000000006', 'consumption', 3, 7,
    null, null, '2026-02-12 11:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000701', '00000000-0000-4000-8000-000000000007', 'monthly_bonus', 7, 7,
    repeat('long ', 140), '["not", "an", "object"]', '2026-02-13 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000702', '00000000-0000-4000-8000-000000000007', 'bonus', 1, 8,
    '', jsonb_build_object('body', repeat('x', 5000)), '2026-02-13 11:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000703', '00000000-0000-4000-8000-000000000007', 'bonus', 0, 8,
    'Nothing', null, '2026-02-13 12:00+00'
  );
