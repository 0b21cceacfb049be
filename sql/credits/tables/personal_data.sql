-- personal_data: where rows of a user are, one row a table.
--
-- What a deletion counts and what a user may ask to have is read from here. A host may add tables of its own.

create table credits_private.personal_data (
  relation text primary key,
  predicate text not null,
  concealed text[] not null default '{}',
  is_erased boolean not null default true
);

comment on table credits_private.personal_data is
  'Where rows of a user are, one row a table.';
comment on column credits_private.personal_data.relation is
  'The table, with its schema.';
comment on column credits_private.personal_data.predicate is
  'Which of its rows t are a user''s: SQL, with the user as $1 and their address or null as $2.';
comment on column credits_private.personal_data.concealed is
  'Columns that an export leaves out.';
comment on column credits_private.personal_data.is_erased is
  'Whether its rows go with the account.';

revoke all on table credits_private.personal_data from public, anon, authenticated, service_role;
