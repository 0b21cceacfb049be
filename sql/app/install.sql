-- The app track: what it is, in the order in which it can be made, on top of the credits track.
--
-- The app of the worked example: profiles, projects, their layers and exports, and an export for a credit.

\ir settings.sql
\ir types/export_payment.sql
\ir types/user_stats.sql
\ir private/touch.sql
\ir private/add_index.sql
\ir private/add_touch.sql
\ir tables/profiles.sql
\ir tables/projects.sql
\ir tables/project_layers.sql
\ir tables/exports.sql
\ir tables/export_keys.sql
\ir tables/deleted_exports.sql
\ir tables/deleted_projects.sql

\ir private/create_export.sql
\ir private/read_stats.sql
\ir private/write_profiles.sql

\ir fields/credits.sql
\ir views/users.sql
\ir rpc/consume_credit_and_create_export.sql
\ir rpc/consume_credit_and_create_export_for.sql
\ir rpc/get_user_stats.sql
\ir rpc/get_user_stats_for.sql

\ir triggers/forget_project.sql
\ir triggers/remove_files.sql
\ir triggers/keep_files.sql
\ir triggers/count_exports.sql

\ir references/profiles.sql
\ir references/projects.sql
\ir triggers/write_profile.sql
\ir triggers/remove_projects.sql
\ir policies/profiles.sql
\ir policies/projects.sql

\ir validate/references.sql
\ir validate/profiles.sql
