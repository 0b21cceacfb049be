-- settings: what an operator may choose.
--
-- Rows, because a hosted database takes no custom parameters. Each row carries its own type and bounds,
-- so that a wrong value cannot be stored by any path. Changed by set_setting (credits-db settings set),
-- read when an account is opened, never while credits are spent.

create table credits_private.settings (
  name text primary key,
  value text not null,
  kind text not null,
  minimum bigint,
  maximum bigint,
  description text not null,
  constraint settings_value_fits_kind check (
    case kind
      when 'integer' then value ~ '^[0-9]{1,15}$' and value::bigint between minimum and maximum
      when 'switch' then value in ('on', 'off')
      else false
    end
  )
);

comment on table credits_private.settings is
  'What an operator may choose, one row a setting. Change it with credits-db settings set.';
comment on column credits_private.settings.name is
  'The word for it, the same in SQL, CLI and docs.';
comment on column credits_private.settings.value is
  'The present choice, as text: digits for an integer, on or off for a switch.';
comment on column credits_private.settings.kind is
  'integer or switch.';
comment on column credits_private.settings.minimum is
  'The smallest integer allowed.';
comment on column credits_private.settings.maximum is
  'The largest integer allowed.';
comment on column credits_private.settings.description is
  'What it does, in a sentence.';

revoke all on table credits_private.settings from public, anon, authenticated, service_role;

insert into credits_private.settings (name, value, kind, minimum, maximum, description)
values
  ('signup_bonus', '3', 'integer', 0, 1000000, 'Credits that a new account starts with; anonymous users get them when they convert.'),
  ('user_spending', 'on', 'switch', null, null, 'Whether users may call consume_credit themselves; off when only the server may name a price.')
on conflict (name) do nothing;
