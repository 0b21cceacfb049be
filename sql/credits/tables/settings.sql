-- settings: what an operator may choose.
--
-- Rows, because a hosted database takes no custom parameters. Each row carries its own type and bounds,
-- so that a wrong value cannot be stored by any path. Changed by set_setting (credits-db settings set),
-- read when an account is opened and when a store calls, never while credits are spent.

create table credits_private.settings (
  name text primary key,
  value text not null,
  kind text not null,
  minimum bigint,
  maximum bigint,
  description text not null,
  pattern text,
  constraint settings_value_fits_kind check (
    case kind
      when 'integer' then value ~ '^[0-9]{1,15}$' and value::bigint between minimum and maximum
      when 'switch' then value in ('on', 'off')
      when 'text' then value ~ pattern and length(value) <= 10000
      else false
    end
  )
);

comment on table credits_private.settings is
  'What an operator may choose, one row a setting. Change it with credits-db settings set.';
comment on column credits_private.settings.name is
  'The word for it, the same in SQL, CLI and docs.';
comment on column credits_private.settings.value is
  'The present choice, as text: digits for an integer, on or off for a switch, what the pattern allows for a text.';
comment on column credits_private.settings.kind is
  'integer, switch or text.';
comment on column credits_private.settings.minimum is
  'The smallest integer allowed.';
comment on column credits_private.settings.maximum is
  'The largest integer allowed.';
comment on column credits_private.settings.description is
  'What it does, in a sentence.';
comment on column credits_private.settings.pattern is
  'The regular expression that a text matches.';

revoke all on table credits_private.settings from public, anon, authenticated, service_role;

insert into credits_private.settings (name, value, kind, minimum, maximum, pattern, description)
values
  ('signup_bonus', '3', 'integer', 0, 1000000, null, 'Credits that a new account starts with; anonymous users get them when they convert.'),
  ('user_spending', 'on', 'switch', null, null, null, 'Whether users may call consume_credit themselves; off when only the server may name a price.'),
  ('notify_changes', 'off', 'switch', null, null, null, 'Whether each transaction that changes a balance notifies the channel credits_changed, which makes commits wait for each other.'),
  ('sandbox', 'deny', 'text', null, null, '^(deny|allow_listed|allow)$', 'Who gets credits for test purchases: nobody (deny), the users in sandbox_users (allow_listed), or everybody (allow).'),
  ('sandbox_users', '', 'text', null, null, '^([0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}(,|$))*$', 'Ids of the users who get credits for test purchases while sandbox is allow_listed, separated by commas.'),
  ('max_active_holds', '100', 'integer', 1, 100000, null, 'How many active holds a user may have at once.'),
  ('webhook_tolerance', '300', 'integer', 1, 86400, null, 'How many seconds the timestamp of a signed webhook may be off, either way.'),
  ('revenuecat_signature_header', 'x-revenuecat-webhook-signature', 'text', null, null, '^[a-z0-9-]{1,100}$', 'The header in which RevenueCat signs, in lowercase.')
on conflict (name) do nothing;
