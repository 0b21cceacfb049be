-- Accounts for the users who were there before.
--
-- Everybody whose account is not open yet gets one, with the signup bonus (setting signup_bonus, 3 unless it
-- was changed) as a ledger row; anonymous users get the account alone. credits-db push has opened them in
-- batches before; running this again changes nothing. Before it, while nothing is locked, pg_cron is told of the
-- maintenance.
--
-- depends: 0002_join_auth

select credits_private.schedule_maintenance();

select credits_private.open_accounts('00000000-0000-0000-0000-000000000000', null);

-- check: nobody is left out and every balance is its ledger
do $$
begin
  if exists (
    select
    from auth.users as u
    where u.deleted_at is null and not exists (select from public.user_credits as a where a.user_id = u.id)
  ) then
    raise exception 'a user has no account';
  end if;
  if exists (select from credits_private.verify_ledger(null)) then
    raise exception 'a balance is not the sum of its ledger';
  end if;
  -- last, since whoever signs up waits for it
  perform credits_private.finish_adoption();
end;
$$;
