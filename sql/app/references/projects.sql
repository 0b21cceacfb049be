-- The references of projects, their layers and their exports: what belongs to a user goes with them, and what belongs
-- to a project with it, whatever the host's own references said. A later migration looks at the rows.

select credits_private.repoint('public.projects', 'user_id', 'auth.users');
select credits_private.repoint('public.project_layers', 'project_id', 'public.projects');
select credits_private.repoint('public.exports', 'project_id', 'public.projects');
