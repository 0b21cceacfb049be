-- names_others: does an event name anybody but a user who is leaving?
--
-- Somebody who is here, or is still to come: an id that no deleted user had, or a provider's name for another user. What
-- an event does not name as a person does not count: every event of RevenueCat has a UUID, and so have devices. In an
-- event that cannot be read yet, only who is here counts.

create or replace function credits_private.names_others(
  p_user_id uuid,
  p_event credits_private.store_events,
  p_key bytea[]
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_document pg_catalog.jsonb := credits_private.read_json(p_event.body);
  v_fact credits_private.store_fact;
  v_names pg_catalog.text[];
begin
  begin
    v_fact := (
      case p_event.provider
        when 'stripe' then credits_private.read_stripe_event(v_document)
        else credits_private.read_revenuecat_event(v_document)
      end
    )[1];
    v_names := v_fact.names || v_fact.former_names;
  exception
    when others then
      v_names := array(
        select u.id::pg_catalog.text
        from auth.users as u
        where u.deleted_at is null and u.id = any (array(
          select n.name::pg_catalog.uuid from unnest(credits_private.names_in(p_event.body)) as n (name) where n.name not like '%@%'
        ))
      );
  end;
  return exists (
    select
    from unnest(v_names) as n (name)
    where case
      when n.name like '________-____-____-____-____________'
        then n.name <> '00000000-0000-0000-0000-000000000000' and not exists (
          select
          from credits_private.closed_identities as c
          where c.identity_hash = credits_private.identity_hash('user', n.name, p_key)
        )
      else exists (
        select
        from credits_private.store_customers as c
        where c.provider = p_event.provider and c.name = n.name and c.user_id <> p_user_id
      )
    end
  );
end;
$$;

comment on function credits_private.names_others(uuid, credits_private.store_events, bytea[]) is
  'Whether an event names somebody who has not left, besides this user. The third argument is identity_key().';

revoke all on function credits_private.names_others(uuid, credits_private.store_events, bytea[]) from public, anon, authenticated, service_role;
