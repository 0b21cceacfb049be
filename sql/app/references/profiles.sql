-- The reference of profiles to auth.users: a profile goes with its user.
--
-- Apart from the table, because it locks auth.users until its transaction ends. A later migration looks at the rows.

select credits_private.repoint('public.profiles', 'id', 'auth.users');
