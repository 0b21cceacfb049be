-- make_lot: the credits of a ledger row just posted will expire.
--
-- What the user owed is paid from them first. The caller holds the lock of the balance.

create or replace function credits_private.make_lot(
  p_row public.credit_transactions,
  p_expires_at timestamptz
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  insert into credits_private.credit_lots (user_id, seq, granted, remaining, expires_at)
  values (p_row.user_id, p_row.seq, p_row.amount, p_row.amount, p_expires_at);
  if p_row.balance_after < p_row.amount then
    perform credits_private.cover_debt(p_row.user_id, 0, p_row.seq);
  end if;
  perform credits_private.due_by(p_row.user_id, p_expires_at);
end;
$$;

comment on function credits_private.make_lot(public.credit_transactions, timestamptz) is
  'Makes a lot of the credits of a grant. Raises PT422 expiry_not_allowed.';

revoke all on function credits_private.make_lot(public.credit_transactions, timestamptz)
  from public, anon, authenticated, service_role;
