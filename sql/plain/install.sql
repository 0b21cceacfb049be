-- The plain track: what Supabase brings to a database and plain Postgres lacks.
--
-- credits-db push runs it once where there is no schema auth, and never on Supabase. The schema is marked
-- by its comment as ours; an application fills auth.users itself, one row for each of its users.

\ir roles.sql
\ir auth/schema.sql
\ir auth/users.sql
\ir auth/jwt.sql
\ir auth/uid.sql
\ir auth/role.sql
\ir auth/email.sql
