-- users: id, address and balance of every user whom the reader may see, from their profiles.
--
-- A face of profiles, with the rights of whoever reads. Where a relation of this name is here already, it stays.

do $$
begin
  if to_regclass('public.users') is not null then
    insert into credits_private.adopted_relations (relation) values ('public.users') on conflict (relation) do nothing;
    raise notice 'credits-db: public.users is there already and stays as it is; the view of this name is not made.';
  else
    create view public.users with (security_invoker = true) as
    select p.id, p.email, public.credits(p) as credits_balance
    from public.profiles as p;

    comment on view public.users is
      'Id, address and balance of users, from their profiles. Users see themselves.';
    comment on column public.users.id is
      'The user, as in auth.users.';
    comment on column public.users.email is
      'Their address, or null.';
    comment on column public.users.credits_balance is
      'Their balance now, in credits, what has fallen due included.';

    revoke all on table public.users from public, anon, authenticated, service_role;
    grant select on table public.users to authenticated, service_role;
  end if;
end;
$$;
