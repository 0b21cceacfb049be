-- post_transaction: a row added to the ledger moves the balance.
--
-- Fires for rows that arrive without seq, which is how a service (or the owner) adds one by hand. Keeps every rule
-- that the RPCs keep: limits, sign by type, keys, the lock. A used key moves nothing and is left to the unique
-- index, so insert .. on conflict do nothing is a replay. What it takes comes from lots as in a spend. Definer
-- rights: the service that inserts may not touch balances itself.

create or replace function credits_private.post_transaction()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_takes boolean := new.type in ('consumption', 'clawback', 'expiration')
    or new.type = 'admin_adjustment' and new.amount < 0;
begin
  if new.type is null then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'type', 'value', null),
      hint = 'A ledger row says why the balance moves.';
  end if;
  if v_takes and (new.amount between -1000000000000 and -1) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_amount',
      detail = json_build_object('amount', new.amount),
      hint = 'Credits are taken by an amount from -1000000000000 to -1.';
  end if;
  perform credits_private.check_entry(
    case when v_takes then -new.amount else new.amount end,
    new.description, new.metadata, new.idempotency_key
  );
  v_account := credits_private.lock_account(new.user_id);
  if exists (
    select from public.credit_transactions as t
    where t.user_id = new.user_id and t.idempotency_key = new.idempotency_key
  ) then
    v_account.last_seq := v_account.last_seq + 1;
  else
    if exists (
      select from public.credit_holds as h where h.user_id = new.user_id and h.idempotency_key = new.idempotency_key
    ) then
      perform credits_private.refuse_key(new.idempotency_key, null);
    end if;
    perform credits_private.settle_account(new.user_id, case when v_takes then -new.amount else 0 end);
    v_account := credits_private.move_balance(new.user_id, new.type, new.amount);
    if v_takes and v_account.next_due_at is not null then
      if new.type in ('consumption', 'expiration') then
        perform credits_private.draw_lots(new.user_id, -new.amount, v_account.last_seq, null);
      end if;
      perform credits_private.cover_debt(new.user_id, v_account.last_seq, v_account.last_seq);
    end if;
  end if;
  new.seq := v_account.last_seq;
  new.balance_after := v_account.credits_remaining;
  new.created_at := v_account.updated_at;
  return new;
end;
$$;

comment on function credits_private.post_transaction() is
  'Trigger on credit_transactions: posts a row that arrives without seq. Raises what add_credits_for and consume_credit_for raise.';

revoke all on function credits_private.post_transaction() from public, anon, authenticated, service_role;

create or replace trigger post_transaction
  before insert on public.credit_transactions
  for each row
  when (new.seq is null)
  execute function credits_private.post_transaction();

comment on trigger post_transaction on public.credit_transactions is
  'A row without seq is numbered and moves the balance; a numbered row is taken as it is.';
