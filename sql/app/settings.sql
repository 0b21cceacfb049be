-- The setting of the app track: which entitlement exports without credits.

insert into credits_private.settings (name, value, kind, minimum, maximum, pattern, description)
values
  ('export_entitlement', 'pro', 'text', null, null, '^.{0,100}$', 'The entitlement whose holders export without spending credits; empty where nobody does.')
on conflict (name) do nothing;
