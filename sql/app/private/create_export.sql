-- create_export: the engine of consume_credit_and_create_export, an export and its payment in one transaction.
--
-- Lock, look for the key, decide: as everywhere. What a key means is what was asked for under it (export_keys), whatever
-- services did with the export since; that of a deleted export stays used. Whoever holds the entitlement of the setting export_entitlement pays
-- nothing; everybody else one credit, whose ledger row has the same key and names the export. If the export cannot be
-- inserted (a trigger of the host's refuses it, or swallows it), the credit is not taken. The project is locked against
-- its deletion. The row is filled by assignment, which also fits an adopted table whose type is an enum.

create or replace function credits_private.create_export(
  p_user_id uuid,
  p_project_id uuid,
  p_type text,
  p_options jsonb,
  p_layer_ids uuid[],
  p_idempotency_key text
)
  returns public.exports
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_new public.exports;
  v_export public.exports;
  v_key credits_private.export_keys;
  v_request pg_catalog.jsonb;
  v_seq bigint;
begin
  perform credits_private.check_entry(1, null, '{}', p_idempotency_key);
  if (length(p_type) between 1 and 100) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'type', 'length', length(p_type)),
      hint = 'The type of an export is a word of 1 to 100 characters.';
  end if;
  -- in this order, like check_entry
  if (
    jsonb_typeof(p_options) = 'object'
    and pg_column_size(p_options || '{}') <= 4096
    and not jsonb_path_exists(p_options, '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))')
    and octet_length(p_options::pg_catalog.text) <= 16384
  ) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'options'),
      hint = 'Options are a JSON object of at most 4 kB that prints to at most 16 kB, with numbers up to 1e308.';
  end if;
  if p_layer_ids is not null and (array_ndims(p_layer_ids) = 1 and cardinality(p_layer_ids) <= 1000) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'layer_ids', 'length', cardinality(p_layer_ids)),
      hint = 'Name 1 to 1000 layers, or none for all.';
  end if;

  perform credits_private.lock_account(p_user_id);
  v_request := jsonb_build_object(
    'project_id', p_project_id, 'type', p_type, 'options', p_options, 'layer_ids', p_layer_ids
  );
  select k.* into v_key
  from credits_private.export_keys as k
  where k.user_id = p_user_id and k.idempotency_key = p_idempotency_key;
  if v_key.request = v_request then
    select e.* into v_export from public.exports as e where e.id = v_key.export_id;
    if found then
      return v_export;
    end if;
  end if;
  select t.seq into v_seq
  from public.credit_transactions as t
  where t.user_id = p_user_id and t.idempotency_key = p_idempotency_key;
  if v_key.request = v_request then
    raise exception using
      errcode = 'PT422',
      message = 'idempotency_key_reused',
      detail = json_build_object('idempotency_key', p_idempotency_key, 'seq', v_seq),
      hint = 'The export of this key was deleted since: use a new key for another, which is paid for again.';
  end if;
  if v_key.request is not null or v_seq is not null or exists (
    select from public.credit_holds as h where h.user_id = p_user_id and h.idempotency_key = p_idempotency_key
  ) or exists (
    select from public.exports as e where e.user_id = p_user_id and e.idempotency_key = p_idempotency_key
  ) then
    perform credits_private.refuse_key(p_idempotency_key, v_seq);
  end if;

  perform from public.projects as p where p.id = p_project_id and p.user_id = p_user_id for key share;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'project_not_found',
      detail = json_build_object('project_id', p_project_id),
      hint = 'This user has no such project.';
  end if;
  if exists (
    select
    from unnest(p_layer_ids) as l (id)
    where not exists (select from public.project_layers as y where y.id = l.id and y.project_id = p_project_id)
  ) then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'layer_ids'),
      hint = 'Each of the layers is one of this project.';
  end if;

  v_new.id := gen_random_uuid();
  v_new.project_id := p_project_id;
  v_new.type := p_type;
  v_new.options := p_options;
  v_new.layer_ids := p_layer_ids;
  v_new.paid_by := 'entitlement';
  if not credits_private.read_entitlement(
    p_user_id,
    (select s.value from credits_private.settings as s where s.name = 'export_entitlement')
  ) then
    v_new.paid_by := 'credits';
    v_new.seq := (
      credits_private.spend(
        p_user_id, 1, 'Export', jsonb_build_object('project_id', p_project_id, 'export_id', v_new.id), p_idempotency_key
      )
    ).seq;
  end if;
  insert into public.exports as e (id, project_id, type, options, user_id, layer_ids, idempotency_key, paid_by, seq)
  values (
    v_new.id, v_new.project_id, v_new.type, v_new.options, p_user_id, v_new.layer_ids, p_idempotency_key, v_new.paid_by,
    v_new.seq
  )
  returning e.* into strict v_export;
  if p_idempotency_key is not null then
    insert into credits_private.export_keys (user_id, idempotency_key, export_id, request)
    values (p_user_id, p_idempotency_key, v_export.id, v_request);
  end if;
  return v_export;
end;
$$;

comment on function credits_private.create_export(uuid, uuid, text, jsonb, uuid[], text) is
  'Makes an export and takes a credit for it, or notes the entitlement that includes it. Raises PT402 insufficient_credits, PT404 account_not_found or project_not_found, PT410 account_closed, PT422 idempotency_key_reused and 22023.';

revoke all on function credits_private.create_export(uuid, uuid, text, jsonb, uuid[], text)
  from public, anon, authenticated, service_role;
