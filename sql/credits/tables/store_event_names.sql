-- store_event_names: whom events name, beside their own users.
--
-- A sign-up looks here for the id of the new user, and an event that teaches a new name for that name, so that a purchase
-- made before the account is credited the moment somebody is there to have it. A deletion looks here for bodies that
-- name the user without being theirs.

create table credits_private.store_event_names (
  name text not null,
  provider text not null,
  event_id text not null,
  constraint store_event_names_pkey primary key (name, provider, event_id)
);

create index store_event_names_event_id on credits_private.store_event_names (provider, event_id);

comment on table credits_private.store_event_names is
  'Whom events name, beside their own users: parked events wait under these names.';
comment on column credits_private.store_event_names.name is
  'The id of a user, a provider''s name for one, or an address in lowercase.';
comment on column credits_private.store_event_names.provider is
  'revenuecat or stripe.';
comment on column credits_private.store_event_names.event_id is
  'The event.';

revoke all on table credits_private.store_event_names from public, anon, authenticated, service_role;
