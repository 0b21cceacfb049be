-- id: a computed field of credit_transactions, one word that names a ledger row.
--
-- select=id,amount through PostgREST. Users see it in support mails; it is <user_id>/<seq>.

create or replace function public.id(entry public.credit_transactions)
  returns text
  language sql
  stable
  set search_path = ''
as $$
  select entry.user_id::pg_catalog.text || '/' || entry.seq::pg_catalog.text;
$$;

comment on function public.id(public.credit_transactions) is
  'Computed field: the name of a ledger row, <user_id>/<seq>.';

revoke all on function public.id(public.credit_transactions) from public, anon, authenticated, service_role;
grant execute on function public.id(public.credit_transactions) to authenticated, service_role;
