"""What only Supabase has: GoTrue writes auth.users as a role that may do nothing else, PostgREST logs in as another."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from conftest import Templates, assert_books_add_up

from credits_db import Client


@pytest.mark.parametrize("flavour", ["supabase", "supabase_closed"])
def test_gotrue_signs_up_converts_and_deletes_although_it_may_touch_nothing_of_ours(
    templates: Templates, flavour: str
) -> None:
    user = uuid4()
    with templates.clone(flavour) as database, database.connect() as owner:
        client = Client(owner)
        with database.connect("supabase_auth_admin") as gotrue:
            gotrue.execute("insert into auth.users (id, is_anonymous) values (%s, true)", [user])
            assert client.get_user_credits_for(user).credits_remaining == 0
            gotrue.execute(
                "update auth.users set is_anonymous = false, email = 'ada@example.com' where id = %s", [user]
            )
            assert client.get_user_credits_for(user).credits_remaining == 3
            client.consume_credit_for(user)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                gotrue.execute("select * from public.user_credits")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                gotrue.execute("select credits_private.open_account(%s)", [user])
            gotrue.execute("delete from auth.users where id = %s", [user])
        left = owner.execute(
            "select (select count(*) from public.user_credits) + (select count(*) from public.credit_transactions)"
        ).fetchone()
        assert left == (0,)
        assert_books_add_up(owner)


def test_a_sign_up_that_meets_a_lock_or_a_timeout_goes_through(templates: Templates) -> None:
    with templates.clone("supabase") as database, database.connect() as owner:
        for setting in ("lock_timeout", "statement_timeout"):
            user = uuid4()
            with owner.transaction(), database.connect("supabase_auth_admin") as gotrue:
                owner.execute("lock table public.user_credits in access exclusive mode")
                gotrue.execute(f"set {setting} = '100ms'".encode())
                gotrue.execute("insert into auth.users (id) values (%s)", [user])
            assert Client(owner).consume_credit_for(user).balance_after == 2
        assert_books_add_up(owner)


@pytest.mark.parametrize("flavour", ["supabase", "supabase_closed"])
def test_postgrest_may_do_nothing_until_it_becomes_a_role(templates: Templates, flavour: str) -> None:
    with templates.clone(flavour) as database:
        user = database.sign_up()
        with database.connect("authenticator") as postgrest:
            for statement in ("select * from public.user_credits", "select public.get_user_credits()"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    postgrest.execute(statement.encode())
            client = Client(postgrest)
            assert client.as_user(user).consume_credit(2).balance_after == 1
            with postgrest.transaction():
                postgrest.execute("set local role service_role")
                assert client.add_credits_for(user, 4).balance_after == 5
            with pytest.raises(psycopg.errors.InsufficientPrivilege), postgrest.transaction():
                postgrest.execute("set local role authenticated")
                client.consume_credit_for(user)
            with pytest.raises(psycopg.Error, match="not_authenticated"), postgrest.transaction():
                postgrest.execute("set local role authenticated")
                postgrest.execute("select public.get_user_credits()")
