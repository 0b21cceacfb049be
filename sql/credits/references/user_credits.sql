-- The reference of user_credits to auth.users: an account goes with its user.
--
-- Apart from the table, because it locks auth.users against every sign-up and sign-in until its transaction
-- ends: it belongs into a migration that does little else.

alter table public.user_credits
  add constraint user_credits_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade;
