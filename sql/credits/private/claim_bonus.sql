-- claim_bonus: the one signup bonus of an address and a phone number, taken by this user.
--
-- Called with the bonus, with whatever stands in for it, and for a new address of somebody who has an account. Two
-- sign-ups of one address at once: the second waits for the first, then has none. Taken before the balance is locked,
-- as in open_accounts, so that nobody who holds a balance waits for a claim. An anonymous user who brought a balance has
-- had it too (adopt_accounts), though nobody knew an address then.

create or replace function credits_private.claim_bonus(
  p_user_id uuid
)
  returns boolean
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_hashes pg_catalog.bytea[] := (
    select credits_private.bonus_identities(u.email, u.phone) from auth.users as u where u.id = p_user_id
  );
  v_claimed bigint;
begin
  insert into credits_private.bonus_claims (identity_hash, claimed_at)
  select i.hash, (credits_private.now() at time zone 'UTC')::pg_catalog.date
  from unnest(v_hashes) as i (hash)
  order by i.hash
  on conflict (identity_hash) do nothing;
  get diagnostics v_claimed = row_count;
  return v_claimed = cardinality(v_hashes) and not exists (
    select
    from credits_private.bonus_claims as c
    where c.identity_hash = credits_private.identity_hash('user', p_user_id::pg_catalog.text)
  );
end;
$$;

comment on function credits_private.claim_bonus(uuid) is
  'Notes that the address and the phone number of a user have had their signup bonus. True when neither had had it; also for who has neither.';

revoke all on function credits_private.claim_bonus(uuid) from public, anon, authenticated, service_role;
