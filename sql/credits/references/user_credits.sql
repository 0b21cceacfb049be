-- The reference of user_credits to auth.users: an account goes with its user.
--
-- Apart from the table, because it locks auth.users against every sign-up and sign-in until its transaction
-- ends: it belongs into a migration that does little else. Nothing has to be validated, since the table is new.

-- whoever came and went meanwhile
delete from public.user_credits as a
where not exists (select from auth.users as u where u.id = a.user_id);

alter table public.user_credits
  -- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid
  add constraint user_credits_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade;
