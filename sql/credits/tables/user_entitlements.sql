-- user_entitlements: what a user may use, and until when.
--
-- Folded from the purchases that carry an entitlement and are not refunded (refresh_entitlements), one's own or
-- transferred, and from what was granted by hand, whichever lasts longer. Whether it is active is a question of the
-- clock: ask has_entitlement.

create table public.user_entitlements (
  user_id uuid not null,
  entitlement text not null,
  active_until timestamptz,
  source text not null,
  granted_by text,
  granted_until timestamptz,
  updated_at timestamptz not null,
  active_since timestamptz not null default credits_private.now(),
  transferred_at timestamptz,
  constraint user_entitlements_pkey primary key (user_id, entitlement)
);

comment on table public.user_entitlements is
  'What a user may use, and until when. Users read their own rows.';
comment on column public.user_entitlements.user_id is
  'Who may.';
comment on column public.user_entitlements.entitlement is
  'What: the store''s or the product''s word, for instance pro.';
comment on column public.user_entitlements.active_until is
  'Until when, that instant not included; null for ever.';
comment on column public.user_entitlements.source is
  'What makes it last so long: manual, transfer, or the store of a purchase.';
comment on column public.user_entitlements.granted_by is
  'How it came apart from purchases: manual, or transfer where the account that had bought it is gone; null where it did not.';
comment on column public.user_entitlements.granted_until is
  'Until when that lasts; null for ever.';
comment on column public.user_entitlements.updated_at is
  'When the row was last changed.';
comment on column public.user_entitlements.active_since is
  'Since when it has been active without a break.';
comment on column public.user_entitlements.transferred_at is
  'When it came by a transfer, null where it did not: its recurring grants follow with the next period.';

alter table public.user_entitlements enable row level security;

revoke all on table public.user_entitlements from public, anon, authenticated, service_role;
grant select on table public.user_entitlements to authenticated, service_role;
