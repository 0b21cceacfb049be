-- say_credits: an amount for a person.

create or replace function credits_private.say_credits(p_amount bigint)
  returns text
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return concat(p_amount, case when p_amount = 1 then ' credit' else ' credits' end);
end;
$$;

comment on function credits_private.say_credits(bigint) is
  'An amount in words: 1 credit, 12 credits.';

revoke all on function credits_private.say_credits(bigint) from public, anon, authenticated, service_role;
