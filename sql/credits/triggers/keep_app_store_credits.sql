-- keep_app_store_credits: what was bought through the App Store never expires, whoever asks.
--
-- Apple's rule (App Review Guidelines 3.1.1), kept where a lot is made, so that neither an RPC nor a product nor
-- the owner by hand goes around it. A grant is such a purchase by its type and the store in its metadata.

create or replace function credits_private.keep_app_store_credits()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  if exists (
    select
    from public.credit_transactions as t
    where t.user_id = new.user_id
      and t.seq = new.seq
      and t.type = 'purchase'
      and lower(t.metadata ->> 'store') in ('app_store', 'mac_app_store')
  ) then
    raise exception using
      errcode = 'PT422',
      message = 'expiry_not_allowed',
      detail = json_build_object('store', 'app_store'),
      hint = 'Credits bought through the App Store may not expire (App Review Guidelines 3.1.1).';
  end if;
  return new;
end;
$$;

comment on function credits_private.keep_app_store_credits() is
  'Trigger on credit_lots: no lot for what the App Store sold. Raises PT422 expiry_not_allowed.';

revoke all on function credits_private.keep_app_store_credits() from public, anon, authenticated, service_role;

create or replace trigger keep_app_store_credits
  before insert or update of user_id, seq on credits_private.credit_lots
  for each row
  execute function credits_private.keep_app_store_credits();

alter table credits_private.credit_lots enable always trigger keep_app_store_credits;

comment on trigger keep_app_store_credits on credits_private.credit_lots is
  'No lot for what the App Store sold.';
