-- store_customers: which user a provider's customer is.
--
-- Learned from events that name both: an anonymous id of RevenueCat beside the id of a user, a customer of Stripe
-- beside a client_reference_id. Later events may name the customer alone. First come, first kept.

create table credits_private.store_customers (
  provider text not null,
  name text not null,
  user_id uuid not null,
  constraint store_customers_pkey primary key (provider, name)
);

create index store_customers_user_id on credits_private.store_customers (user_id);

comment on table credits_private.store_customers is
  'Which user a provider''s customer is, learned from events that name both.';
comment on column credits_private.store_customers.provider is
  'revenuecat or stripe.';
comment on column credits_private.store_customers.name is
  'The provider''s name: $RCAnonymousID:..., cus_...';
comment on column credits_private.store_customers.user_id is
  'The user.';

revoke all on table credits_private.store_customers from public, anon, authenticated, service_role;
