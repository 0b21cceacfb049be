-- add_line: a line of an invoice or a session, put to those before it; two lines of one product are one purchase of both.

create or replace function credits_private.add_line(
  p_facts credits_private.store_fact[],
  p_line credits_private.store_fact
)
  returns credits_private.store_fact[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_facts credits_private.store_fact[] := p_facts;
begin
  for v_n in 1 .. cardinality(v_facts) loop
    if v_facts[v_n].product_id = p_line.product_id then
      v_facts[v_n].quantity := v_facts[v_n].quantity + p_line.quantity;
      v_facts[v_n].price_cents := v_facts[v_n].price_cents + p_line.price_cents;
      v_facts[v_n].list_cents := v_facts[v_n].list_cents + p_line.list_cents;
      v_facts[v_n].is_trial := v_facts[v_n].is_trial and p_line.is_trial;
      v_facts[v_n].until := greatest(v_facts[v_n].until, p_line.until);
      return v_facts;
    end if;
  end loop;
  return v_facts || p_line;
end;
$$;

comment on function credits_private.add_line(credits_private.store_fact[], credits_private.store_fact) is
  'The facts with one more line, added to that of the same product.';

revoke all on function credits_private.add_line(credits_private.store_fact[], credits_private.store_fact) from public, anon, authenticated, service_role;
