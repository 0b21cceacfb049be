-- deleted_exports: how many exports a user had that are gone, so that lifetime_exports does not shrink.
--
-- Counted by count_exports in the transaction of the deletion; gone with the account (remove_projects).

create table credits_private.deleted_exports (
  user_id uuid primary key,
  count bigint not null
);

comment on table credits_private.deleted_exports is
  'How many exports of a user were deleted.';
comment on column credits_private.deleted_exports.user_id is
  'Whose they were: the user of their project.';
comment on column credits_private.deleted_exports.count is
  'How many.';

revoke all on table credits_private.deleted_exports from public, anon, authenticated, service_role;

insert into credits_private.personal_data (relation, predicate)
values ('credits_private.deleted_exports', 't.user_id = $1')
on conflict (relation) do nothing;
