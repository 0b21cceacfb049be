-- Per-export pricing, first plan: a balance a user, the purchases behind it, and the projects of the app before it.
--
-- As its three migrations leave it. The key of projects still sets null and has a name that nobody would guess; the
-- keys of the new tables say nothing of deletion. Users 1 to 8 are in auth.users already (tests/test_adoption.py).

create table public.projects (
  id uuid primary key default gen_random_uuid(),
  user_id uuid constraint fk_projects_owner references auth.users (id) on delete set null,
  source_image_path text,
  status text not null default 'draft',
  params jsonb,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

alter table public.projects enable row level security;
drop policy if exists "Users can manage own projects" on public.projects;
create policy "Users can manage own projects" on public.projects
  for all using (auth.uid() = user_id) with check (auth.uid() = user_id);

create or replace function public.update_updated_at_column()
returns trigger as $$
begin
  new.updated_at = now();
  return new;
end;
$$ language plpgsql;

create trigger update_projects_updated_at before update on public.projects
  for each row execute function public.update_updated_at_column();

-- 20260207_add_user_credits.sql
create table if not exists public.user_credits (
  user_id uuid primary key references auth.users (id),
  credits_remaining integer default 0 not null,
  monthly_bonus_credits integer default 0,
  last_bonus_date timestamptz,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

alter table public.user_credits enable row level security;

drop policy if exists "Users can view own credits" on public.user_credits;
create policy "Users can view own credits" on public.user_credits
  for select using (auth.uid() = user_id);
drop policy if exists "Users can update own credits" on public.user_credits;
create policy "Users can update own credits" on public.user_credits
  for update using (auth.uid() = user_id);
drop policy if exists "Service role can manage credits" on public.user_credits;
create policy "Service role can manage credits" on public.user_credits
  for all to service_role using (true) with check (true);

create trigger update_user_credits_updated_at before update on public.user_credits
  for each row execute function public.update_updated_at_column();

-- 20260207_add_purchase_transactions.sql
create table if not exists public.purchase_transactions (
  id uuid primary key default gen_random_uuid(),
  transaction_id text unique not null,
  user_id uuid references auth.users (id),
  product_id text not null,
  amount integer,
  price_cents integer,
  currency text check (char_length(currency) = 3),
  status text check (status in ('pending', 'completed', 'failed', 'refunded')),
  revenuecat_json jsonb,
  verified_at timestamptz,
  created_at timestamptz default now()
);

create index idx_purchase_transactions_user_id on public.purchase_transactions (user_id);

alter table public.purchase_transactions enable row level security;

drop policy if exists "Users can view own transactions" on public.purchase_transactions;
create policy "Users can view own transactions" on public.purchase_transactions
  for select using (auth.uid() = user_id);
drop policy if exists "Service role can manage transactions" on public.purchase_transactions;
create policy "Service role can manage transactions" on public.purchase_transactions
  for all to service_role using (true) with check (true);

-- what had become of it: 2 has spent all, 3 never had any, 4 has no row, 6 all that an integer holds, 8 is anonymous
insert into public.user_credits (user_id, credits_remaining, monthly_bonus_credits, last_bonus_date, created_at)
values
  ('00000000-0000-4000-8000-000000000001', 12, 0, null, '2026-02-08 09:00+00'),
  ('00000000-0000-4000-8000-000000000002', 0, 0, null, '2026-02-09 09:00+00'),
  ('00000000-0000-4000-8000-000000000003', 0, null, null, '2026-02-10 09:00+00'),
  ('00000000-0000-4000-8000-000000000005', 5, 10, '2026-03-01 00:00+00', '2026-02-11 09:00+00'),
  ('00000000-0000-4000-8000-000000000006', 2147483647, 0, null, null),
  ('00000000-0000-4000-8000-000000000007', 1, 0, null, '2026-02-13 09:00+00'),
  ('00000000-0000-4000-8000-000000000008', 4, 0, null, '2026-02-14 09:00+00');

insert into public.purchase_transactions (
  transaction_id, user_id, product_id, amount, price_cents, currency, status, revenuecat_json, verified_at, created_at
)
values
  (
    'GPA.3312-1234-5678-90123', '00000000-0000-4000-8000-000000000001', 'credits_10', 10, 499, 'USD', 'completed',
    '{"api_version": "1.0", "event": {"id": "rc_1", "type": "NON_RENEWING_PURCHASE", "store": "PLAY_STORE"}}',
    '2026-02-08 10:00:01+00', '2026-02-08 10:00+00'
  ),
  (
    'pi_3NabcXYZ', '00000000-0000-4000-8000-000000000001', 'credits_5', 5, 299, 'EUR', 'completed',
    null, '2026-02-09 10:00:01+00', '2026-02-09 10:00+00'
  ),
  (
    '2000000123456789', '00000000-0000-4000-8000-000000000002', 'credits_5', 5, 299, 'USD', 'refunded',
    null, '2026-02-10 10:00:01+00', '2026-02-10 10:00+00'
  ),
  (
    'GPA.4444-0000-0000-00000', '00000000-0000-4000-8000-000000000004', 'credits_10', 10, 499, 'USD', 'completed',
    null, '2026-02-11 10:00:01+00', '2026-02-11 10:00+00'
  ),
  (
    'rc_promo_77', '00000000-0000-4000-8000-000000000005', 'credits_10', 10, null, null, 'pending',
    '{}', null, '2026-02-12 10:00+00'
  ),
  (
    'named_by_the_payload', '00000000-0000-4000-8000-000000000006', 'credits_5', 5, 299, 'USD', 'completed',
    '{"store": "APP_STORE"}', '2026-02-13 10:00:01+00', '2026-02-13 10:00+00'
  ),
  (
    'in_1NabcXYZ', '00000000-0000-4000-8000-000000000007', 'credits_5', null, null, null, 'failed',
    null, null, '2026-02-14 10:00+00'
  ),
  (
    'GPA.9999-0000-0000-00000', null, 'credits_5', 5, 299, 'USD', 'completed',
    null, '2026-02-15 10:00:01+00', '2026-02-15 10:00+00'
  );

insert into public.projects (id, user_id, source_image_path, status, params)
values
  (
    '00000000-0000-4000-9000-000000000001', '00000000-0000-4000-8000-000000000001', '1/cat.png', 'ready',
    '{"layers": 4}'
  ),
  ('00000000-0000-4000-9000-000000000002', '00000000-0000-4000-8000-000000000002', null, 'draft', null),
  ('00000000-0000-4000-9000-000000000003', null, 'gone/dog.png', 'ready', '{}');
