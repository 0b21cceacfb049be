-- read_history: one page of a user's ledger, newest first.
--
-- Pages by seq, which the primary key serves backwards: a page costs what its rows cost, however long
-- the history is and whatever is posted meanwhile.

create or replace function credits_private.read_history(
  p_user_id uuid,
  p_page_size integer,
  p_before_seq bigint,
  p_type public.credit_transaction_type
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  rows 50
  set search_path = ''
as $$
begin
  if p_page_size is null or p_page_size not between 1 and 500 then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'page_size', 'value', p_page_size),
      hint = 'A page has 1 to 500 rows.';
  end if;
  return query
  select t.*
  from public.credit_transactions as t
  where t.user_id = p_user_id
    and t.seq < coalesce(p_before_seq, 9223372036854775807)
    and (p_type is null or t.type = p_type)
  order by t.seq desc
  limit p_page_size;
end;
$$;

comment on function credits_private.read_history(uuid, integer, bigint, public.credit_transaction_type) is
  'Ledger rows of a user below p_before_seq, newest first. Raises 22023 invalid_argument for a page outside 1 to 500.';

revoke all on function credits_private.read_history(uuid, integer, bigint, public.credit_transaction_type)
  from public, anon, authenticated, service_role;
