-- The profiles of users who were there before, as far as credits-db push has not made them in batches.

select credits_private.write_profiles('00000000-0000-0000-0000-000000000000', null);
