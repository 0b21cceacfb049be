-- deleted_projects: whose the projects were that this transaction has deleted. Empty again when it ends.
--
-- When a deletion comes to layers and exports by a cascade, their project is gone, and they do not know whose it was:
-- remove_files of projects, which comes before, notes it here for theirs and for count_exports.

create table credits_private.deleted_projects (
  id uuid primary key,
  user_id uuid not null
);

comment on table credits_private.deleted_projects is
  'Whose the projects were that this transaction has deleted; empty again when it ends.';
comment on column credits_private.deleted_projects.id is
  'The project.';
comment on column credits_private.deleted_projects.user_id is
  'Whose it was.';

revoke all on table credits_private.deleted_projects from public, anon, authenticated, service_role;
