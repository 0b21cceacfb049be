-- consume_credit_and_create_export_for: a service makes an export for a user, who pays for it.

create or replace function public.consume_credit_and_create_export_for(
  user_id uuid,
  project_id uuid,
  type text,
  options jsonb default '{}',
  layer_ids uuid[] default null,
  idempotency_key text default null
)
  returns public.exports
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.create_export(user_id, project_id, type, options, layer_ids, idempotency_key);
end;
$$;

comment on function public.consume_credit_and_create_export_for(uuid, uuid, text, jsonb, uuid[], text) is
  'Make an export of a project of a user, who pays one credit, or nothing with the entitlement that includes it (paid_by says which). Returns the export; the same idempotency_key returns the same export again. Raises PT401 not_authenticated for a null user_id, PT402 insufficient_credits, PT404 account_not_found or project_not_found, PT410 account_closed, PT422 idempotency_key_reused, 22023 invalid_idempotency_key or invalid_argument.';

revoke all on function public.consume_credit_and_create_export_for(uuid, uuid, text, jsonb, uuid[], text)
  from public, anon, authenticated, service_role;
grant execute on function public.consume_credit_and_create_export_for(uuid, uuid, text, jsonb, uuid[], text) to service_role;
