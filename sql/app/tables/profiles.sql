-- profiles: one row a user, for an application that wants a table of them in public.
--
-- Made and kept by write_profile, the trigger on auth.users; gone with the user (references/profiles.sql). Its computed
-- field credits is the balance. A table of this name that is here already is taken as it is, with what it lacks.

insert into credits_private.adopted_relations (relation, had_policies)
select 'public.profiles', c.relrowsecurity
from pg_catalog.pg_class as c
where c.oid = to_regclass('public.profiles')
on conflict (relation) do update set had_policies = excluded.had_policies;

create table if not exists public.profiles (
  id uuid primary key
);

alter table public.profiles
  add column if not exists email text,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now();

do $$
begin
  if not credits_private.is_adopted('public.profiles') then
    comment on table public.profiles is
      'One row a user, made with them. Users read their own.';
    comment on column public.profiles.id is
      'The user, as in auth.users.';
    comment on column public.profiles.email is
      'Their address, as auth.users has it; null for anonymous users and those who sign in by phone.';
    comment on column public.profiles.created_at is
      'When the row was made.';
    comment on column public.profiles.updated_at is
      'When it was last changed.';
    revoke all on table public.profiles from public, anon, authenticated, service_role;
    grant select on table public.profiles to authenticated;
    grant select, insert, update, delete on table public.profiles to service_role;
  end if;
end;
$$;

alter table public.profiles enable row level security;

select credits_private.add_touch('public.profiles');

insert into credits_private.personal_data (relation, predicate)
values ('public.profiles', 't.id = $1')
on conflict (relation) do nothing;
