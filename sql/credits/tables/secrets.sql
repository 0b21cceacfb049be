-- secrets: what proves that a webhook comes from its provider, and the key under which people are hashed.
--
-- Set by set_secret (credits-db secret set) and read by is_signed alone; no API role reads them, and nothing prints
-- them. A new secret leaves the old one valid for a while, as the providers do when a secret is rolled. identity_key
-- is made here, once, and stays: with another one, whoever left would be a stranger again.

create table credits_private.secrets (
  name text not null,
  value text not null,
  added_at timestamptz not null,
  valid_until timestamptz,
  constraint secrets_pkey primary key (name, value)
);

comment on table credits_private.secrets is
  'What proves that a webhook comes from its provider. Set with credits-db secret set; identity_key is the database''s own.';
comment on column credits_private.secrets.name is
  'stripe, revenuecat (signing secrets), revenuecat_authorization (the static header) or identity_key (identity_hash).';
comment on column credits_private.secrets.value is
  'The secret.';
comment on column credits_private.secrets.added_at is
  'When it was set.';
comment on column credits_private.secrets.valid_until is
  'When it stops being accepted, because a newer one was set; null for the newest.';

revoke all on table credits_private.secrets from public, anon, authenticated, service_role;

insert into credits_private.secrets (name, value, added_at)
values ('identity_key', replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), credits_private.now());
