-- Policies of profiles: users see their own, services do everything.

do $$
begin
  if not credits_private.keeps_policies('public.profiles') then
    create policy "users read their own profile"
      on public.profiles
      for select
      to authenticated
      using (id = (select auth.uid()));

    create policy "services keep every profile"
      on public.profiles
      for all
      to service_role
      using (true)
      with check (true);
  end if;
end;
$$;
