-- parked_events: under which names the parked events wait.
--
-- A sign-up looks here for the id of the new user, and an event that teaches a new name for that name, so that a
-- purchase made before the account is credited the moment somebody is there to have it.

create table credits_private.parked_events (
  name text not null,
  provider text not null,
  event_id text not null,
  constraint parked_events_pkey primary key (name, provider, event_id)
);

comment on table credits_private.parked_events is
  'Under which names the parked events wait for their user.';
comment on column credits_private.parked_events.name is
  'The id of a user, or a provider''s name for one.';
comment on column credits_private.parked_events.provider is
  'revenuecat or stripe.';
comment on column credits_private.parked_events.event_id is
  'The event that waits.';

revoke all on table credits_private.parked_events from public, anon, authenticated, service_role;
