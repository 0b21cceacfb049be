-- adopted_relations: what was in the database before credits-db, and is used as it is.
--
-- Such a relation keeps its rows, policies, grants, triggers and indexes; what was missing of ours is added, nothing is
-- taken away. Written by the file of the relation before it would be created; verify looks less closely at what is here.

create table credits_private.adopted_relations (
  relation text primary key,
  adopted_at timestamptz not null default credits_private.now(),
  had_policies boolean not null default false
);

comment on table credits_private.adopted_relations is
  'Tables and views that were here before credits-db, which it uses as they are.';
comment on column credits_private.adopted_relations.relation is
  'Schema and name: public.projects.';
comment on column credits_private.adopted_relations.adopted_at is
  'When credits-db came to it.';
comment on column credits_private.adopted_relations.had_policies is
  'Whether it had row level security: then who may do what with it stays the host''s business.';

revoke all on table credits_private.adopted_relations from public, anon, authenticated, service_role;
