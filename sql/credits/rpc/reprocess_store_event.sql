-- reprocess_store_event: tries a stored event again, after what stood in its way was mended.
--
-- For instance once the product that it names is in credit_products. Safe for any event: what is done already stays as it is, and a transfer is not made twice.

create or replace function public.reprocess_store_event(
  provider text,
  event_id text
)
  returns public.store_event
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.run_store_event(provider, event_id);
end;
$$;

comment on function public.reprocess_store_event(text, text) is
  'Try a stored event again and return what became of it. provider: revenuecat or stripe. Raises PT404 event_not_found.';

revoke all on function public.reprocess_store_event(text, text) from public, anon, authenticated, service_role;
grant execute on function public.reprocess_store_event(text, text) to service_role;
