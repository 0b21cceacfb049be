-- The push track: what credits-db push notes about itself, before the first migration.

\ir migrations.sql
\ir yoyo.sql
\ir record_migration.sql
