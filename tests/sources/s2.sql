-- Rate limits by credits: a column of profiles, and an audit trail beside it.
--
-- As 20250211_add_credit_system.sql leaves it, with the profiles and the trigger that were there before. The
-- application writes both, so the trail does not begin with the three credits of the column's default.
-- Users 1 to 8 are in auth.users already (tests/test_adoption.py).

create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  email text,
  full_name text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

alter table public.profiles enable row level security;
create policy "Users can view own profile" on public.profiles
  for select using (auth.uid() = id);
create policy "Users can update own profile" on public.profiles
  for update using (auth.uid() = id);

insert into public.profiles (id, email)
select id, email from auth.users;

-- 20250211_add_credit_system.sql
alter table public.profiles
add column credits integer not null default 3;

create index if not exists idx_profiles_credits on public.profiles (credits);

create table public.credit_transactions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  amount integer not null,
  type text not null check (type in ('deduct', 'add', 'refund', 'admin_adjustment')),
  description text not null,
  metadata jsonb,
  timestamp timestamptz not null default now(),
  created_at timestamptz not null default now()
);

create index idx_credit_transactions_user_timestamp on public.credit_transactions (user_id, timestamp desc);
create index idx_credit_transactions_type on public.credit_transactions (type);
create index idx_credit_transactions_timestamp on public.credit_transactions (timestamp);

alter table public.credit_transactions enable row level security;
create policy "Users can view own credit transactions" on public.credit_transactions
  for select using (auth.uid() = user_id);
create policy "System only inserts" on public.credit_transactions
  for insert with check (false);
create policy "No updates" on public.credit_transactions
  for update using (false);
create policy "No deletes" on public.credit_transactions
  for delete using (false);

update public.profiles set credits = 3 where credits is null or credits <> 3;

create or replace function public.handle_new_user()
returns trigger
language plpgsql
security definer
set search_path = public
as $$
begin
  insert into public.profiles (id, email, credits)
  values (new.id, new.email, 3);
  return new;
end;
$$;

create trigger on_auth_user_created
  after insert on auth.users
  for each row execute function public.handle_new_user();

do $$
begin
  if exists (select from public.profiles where credits is null) then
    raise exception 'Migration failed: profiles without credits';
  end if;
end;
$$;

-- 2 has spent all, 3 has none left of the default, 4 has lost the profile, 5's rows are out of order (and were written
-- later than they happened), 6's deductions are positive, 7's texts are too long, 8 is anonymous
update public.profiles as p
set credits = b.credits
from (
  values
    ('00000000-0000-4000-8000-000000000001'::uuid, 12),
    ('00000000-0000-4000-8000-000000000002', 0),
    ('00000000-0000-4000-8000-000000000003', 0),
    ('00000000-0000-4000-8000-000000000005', 8),
    ('00000000-0000-4000-8000-000000000006', 9),
    ('00000000-0000-4000-8000-000000000007', 20),
    ('00000000-0000-4000-8000-000000000008', 4)
) as b (id, credits)
where p.id = b.id;

delete from public.profiles where id = '00000000-0000-4000-8000-000000000004';

insert into public.credit_transactions (id, user_id, amount, type, description, metadata, timestamp, created_at)
values
  (
    '00000000-0000-4000-a000-000000000101', '00000000-0000-4000-8000-000000000001', 10, 'add', '10 credits',
    '{"source": "promo"}', '2025-02-12 10:00+00', '2025-02-12 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000102', '00000000-0000-4000-8000-000000000001', -1, 'deduct', 'Request',
    null, '2025-02-13 10:00+00', '2025-02-13 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000201', '00000000-0000-4000-8000-000000000002', -3, 'deduct', 'Requests',
    '{}', '2025-02-12 10:00+00', '2025-02-12 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000301', '00000000-0000-4000-8000-000000000003', -3, 'admin_adjustment', 'Abuse',
    '{}', '2025-02-12 10:00+00', '2025-02-12 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000503', '00000000-0000-4000-8000-000000000005', 2, 'refund', 'Failed request',
    null, '2025-02-20 12:00+00', '2025-02-20 13:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000502', '00000000-0000-4000-8000-000000000005', 10, 'add', '10 credits',
    null, '2025-02-20 11:00+00', '2025-02-20 13:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000501', '00000000-0000-4000-8000-000000000005', -4, 'deduct', 'Requests',
    null, '2025-02-20 10:00+00', '2025-02-20 13:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000601', '00000000-0000-4000-8000-000000000006', 10, 'add', '10 credits',
    null, '2025-02-12 10:00+00', '2025-02-12 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000602', '00000000-0000-4000-8000-000000000006', 3, 'deduct', 'Requests',
    null, '2025-02-12 11:00+00', '2025-02-12 11:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000701', '00000000-0000-4000-8000-000000000007', 17, 'admin_adjustment',
    repeat('long ', 140), '["not", "an", "object"]', '2025-02-12 10:00+00', '2025-02-12 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000702', '00000000-0000-4000-8000-000000000007', 0, 'admin_adjustment', 'Nothing',
    null, '2025-02-12 11:00+00', '2025-02-12 11:00+00'
  );
