-- consume_credit_and_create_export: the signed-in user asks for an export and pays for it, in one transaction.

create or replace function credits_private.consume_credit_and_create_export(
  p_project_id uuid,
  p_type text,
  p_options jsonb,
  p_layer_ids uuid[],
  p_idempotency_key text
)
  returns public.exports
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.create_export(
    credits_private.current_user_id(), p_project_id, p_type, p_options, p_layer_ids, p_idempotency_key
  );
end;
$$;

comment on function credits_private.consume_credit_and_create_export(uuid, text, jsonb, uuid[], text) is
  'The body of public.consume_credit_and_create_export: the same for the user of the token, with definer rights.';

revoke all on function credits_private.consume_credit_and_create_export(uuid, text, jsonb, uuid[], text)
  from public, anon, authenticated, service_role;
grant execute on function credits_private.consume_credit_and_create_export(uuid, text, jsonb, uuid[], text) to authenticated;

create or replace function public.consume_credit_and_create_export(
  project_id uuid,
  type text,
  options jsonb default '{}',
  layer_ids uuid[] default null,
  idempotency_key text default null
)
  returns public.exports
  language plpgsql
  volatile
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.consume_credit_and_create_export(project_id, type, options, layer_ids, idempotency_key);
end;
$$;

comment on function public.consume_credit_and_create_export(uuid, text, jsonb, uuid[], text) is
  'Make an export of your project and pay one credit, or nothing with the entitlement that includes it (paid_by says which). layer_ids: null for all. Returns the export; the same idempotency_key returns the same export again. Raises PT401 not_authenticated, PT402 insufficient_credits, PT404 account_not_found or project_not_found, PT410 account_closed, PT422 idempotency_key_reused, 22023 invalid_idempotency_key or invalid_argument.';

revoke all on function public.consume_credit_and_create_export(uuid, text, jsonb, uuid[], text)
  from public, anon, authenticated, service_role;
grant execute on function public.consume_credit_and_create_export(uuid, text, jsonb, uuid[], text) to authenticated;
