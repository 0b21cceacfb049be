-- Story 1.3: users with a balance, and transactions whose trigger moves it.
--
-- Users 1 to 8 are in auth.users already (tests/test_adoption.py).

create type public.transaction_type as enum ('PURCHASE', 'GENERATION', 'REFUND');

create table public.users (
  id uuid primary key references auth.users (id) on delete cascade,
  email text,
  credits_balance integer not null default 0
);

create table public.transactions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references public.users (id) on delete cascade,
  amount integer not null,
  type public.transaction_type not null,
  stripe_id text,
  created_at timestamptz not null default now()
);

create or replace function public.update_user_credits()
returns trigger as $$
begin
  update public.users
  set credits_balance = credits_balance + new.amount
  where id = new.user_id;
  return new;
end;
$$ language plpgsql security definer;

create trigger on_transaction_created
  after insert on public.transactions
  for each row execute function public.update_user_credits();

alter table public.users enable row level security;
alter table public.transactions enable row level security;
create policy "Users can read own balance" on public.users
  for select using (auth.uid() = id);
create policy "Users can read own transactions" on public.transactions
  for select using (auth.uid() = user_id);
create policy "Service role inserts transactions" on public.transactions
  for insert to service_role with check (true);

-- 2 has spent all, 3 never had any, 4 has no row, 5's rows are out of order, 6's generation is positive and the balance
-- was put right by hand, 7 was given credits by hand, 8 is anonymous
insert into public.users (id, email)
select id, email from auth.users where id <> '00000000-0000-4000-8000-000000000004';

insert into public.transactions (id, user_id, amount, type, stripe_id, created_at)
values
  (
    '00000000-0000-4000-a000-000000000101', '00000000-0000-4000-8000-000000000001', 20, 'PURCHASE', 'pi_3Nada',
    '2026-01-10 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000102', '00000000-0000-4000-8000-000000000001', -10, 'GENERATION', null,
    '2026-01-11 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000103', '00000000-0000-4000-8000-000000000001', 2, 'REFUND', null,
    '2026-01-12 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000201', '00000000-0000-4000-8000-000000000002', 5, 'PURCHASE', 'cs_test_bob',
    '2026-01-10 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000202', '00000000-0000-4000-8000-000000000002', -5, 'GENERATION', null,
    '2026-01-11 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000502', '00000000-0000-4000-8000-000000000005', 12, 'PURCHASE', 'pi_3Neve',
    '2026-01-11 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000501', '00000000-0000-4000-8000-000000000005', -4, 'GENERATION', null,
    '2026-01-10 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000601', '00000000-0000-4000-8000-000000000006', 12, 'PURCHASE', 'pi_3Nfay',
    '2026-01-10 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000602', '00000000-0000-4000-8000-000000000006', 3, 'GENERATION', null,
    '2026-01-11 10:00+00'
  ),
  (
    '00000000-0000-4000-a000-000000000603', '00000000-0000-4000-8000-000000000006', 0, 'GENERATION', null,
    '2026-01-12 10:00+00'
  );

update public.users set credits_balance = 9 where id = '00000000-0000-4000-8000-000000000006';
update public.users set credits_balance = 20 where id = '00000000-0000-4000-8000-000000000007';
update public.users set credits_balance = 4 where id = '00000000-0000-4000-8000-000000000008';
