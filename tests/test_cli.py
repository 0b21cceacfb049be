"""The command: what it prints, its exit codes, and that it never shows a password or a traceback."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from conftest import Database, Outcome, Run, Templates
from test_webhook_handlers import bought, paid

from credits_db import Client, MaintenanceReport, cli_credits, local, migrations
from credits_db._call import Call, one, rpc
from credits_db.procedures import ServiceProcedures
from credits_db.testing import freeze
from credits_db.webhooks import sign

IDS = [migration.id for migration in migrations.shipped()]


def test_help_names_every_command_and_is_fast() -> None:
    began = time.monotonic()
    shown = subprocess.check_output([sys.executable, "-m", "credits_db.cli", "--help"], text=True)
    for command in (
        "push",
        "status",
        "verify",
        "sql",
        "new",
        "settings",
        "products",
        "events",
        "secret",
        "demo",
        "explain",
        "maintain",
        "import-balances",
        "seed",
    ):
        assert f"\n  {command} " in shown
    loaded = subprocess.check_output(
        [sys.executable, "-c", "import sys, credits_db.cli; print(*sys.modules)"], text=True
    ).split()
    assert not {"psycopg", "rich", "credits_db.results"} & set(loaded), "help would wait for them"
    assert time.monotonic() - began < 20


def test_without_a_database_it_refuses_and_names_the_three_ways(run: Run) -> None:
    for command in ("push", "status", "verify"):
        outcome = run(command)
        assert outcome.code == 1
        assert all(way in outcome.err for way in ("--db-url", "DATABASE_URL", "--local"))
    assert "not both" in run("push", "--local", "--db-url", "postgresql://x").err


def test_push_status_verify_from_empty_to_done(run: Run, empty: Database) -> None:
    url = ["--db-url", empty.dsn()]
    assert json.loads(run("status", *url, "--json").out) == {"database": empty.name, "applied": [], "pending": IDS}
    assert run("status", *url).code == 1
    assert "push first" in run("verify", *url).err
    dry = run("push", *url, "--dry-run")
    assert (dry.code, f"{len(IDS)} to apply. Nothing was changed." in dry.out) == (0, True)
    pushed = run("push", *url)
    assert (pushed.code, [id in pushed.out for id in IDS]) == (0, [True] * len(IDS))
    assert "up to date" in run("push", *url).out
    assert json.loads(run("status", *url, "--json").out)["applied"] == IDS
    assert run("status", *url).code == 0
    assert "is what credits-db ships" in run("verify", *url).out
    with empty.connect() as connection:
        connection.execute("grant delete on public.user_credits to anon")
    drift = run("verify", *url)
    assert (drift.code, drift.out) == (2, "+ grant delete on table public.user_credits to anon\n")
    assert json.loads(run("verify", *url, "--json").out)["drift"] == drift.out.splitlines()


def test_push_asks_before_it_gives_credits_to_existing_users(run: Run, empty: Database) -> None:
    url = ["--db-url", empty.dsn()]
    run("push", *url, "--to", "0001_core")
    with empty.connect() as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("insert into auth.users (id) select gen_random_uuid() from generate_series(1, 4)")
    refused = run("push", *url)
    assert refused.code == 1
    assert "4 existing users get 3 credits each as their signup bonus, 12 in all." in refused.out
    assert "Stopped before 0003_open_existing_accounts" in refused.err
    assert run("settings", "set", "signup_bonus", "5", *url).code == 0
    accepted = run("push", *url, "--yes")
    assert (accepted.code, "get 5 credits each" in accepted.out) == (0, True)


def test_settings_are_listed_and_set_and_wrong_values_refused(run: Run, database: Database) -> None:
    url = ["--db-url", database.dsn()]
    listed = json.loads(run("settings", "list", *url, "--json").out)
    assert {"signup_bonus": "3", "user_spending": "on", "sandbox": "deny"}.items() <= listed.items()
    assert run("settings", "set", "signup_bonus", "7", *url).out == "✓ signup_bonus is 7\n"
    assert "signup_bonus" in run("settings", "list", *url).out
    for name, value, message in (
        ("signup_bonus", "1000001", "signup_bonus is a whole number from 0 to 1000000. (invalid_argument)"),
        ("user_spending", "maybe", "user_spending is on or off. (invalid_argument)"),
        ("sandbox", "perhaps", "sandbox matches"),
        ("nothing", "1", "There is no such setting"),
    ):
        outcome = run("settings", "set", name, value, *url)
        assert outcome.code == 1
        assert message in outcome.err


# the shop ------------------------------------------------------------------------------------------------------------


def test_a_product_is_set_changed_and_listed(run: Run, database: Database) -> None:
    url = ["--db-url", database.dsn()]
    assert json.loads(run("products", "list", *url, "--json").out) == []
    assert run("products", "set", "pack", "100", *url).out == "✓ pack (any) is worth 100 credits\n"
    options = (
        "--store stripe --bonus 5 --trial 3 --price-cents 990 --currency USD --entitlement pro --from 2026-01-01 "
        "--to 2026-02-01T00:00+01:00"
    )
    assert run("products", "set", "price_1", "50", *options.split(), *url).code == 0
    assert run("products", "set", "pack", "200", *url).code == 0
    anything, price = json.loads(run("products", "list", *url, "--json").out)
    assert (anything["store"], anything["product_id"], anything["credits"]) == ("any", "pack", 200)
    assert {name: price[name] for name in price if name not in ("updated_at", "active_from", "active_to")} == {
        "store": "stripe", "product_id": "price_1", "credits": 50, "bonus_credits": 5, "trial_credits": 3,
        "price_cents": 990, "currency": "USD", "entitlement": "pro", "expires_after": None,
    }  # fmt: skip
    instants = [datetime.fromisoformat(price[name]) for name in ("active_from", "active_to")]
    assert instants == [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, 23, tzinfo=UTC)]
    header, *lines = run("products", "list", *url).out.splitlines()
    assert header.split()[:3] == ["store", "product_id", "credits"]
    assert [line.split()[:3] for line in lines] == [["any", "pack", "200"], ["stripe", "price_1", "50"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pack", "1000000000001"], "Credits are whole numbers from 0 to 1000000000000. (invalid_argument)"),
        (["pack", "1.5"], 'invalid input syntax for type bigint: "1.5"'),
        (["pack", "9" * 30], "is out of range for type bigint"),
        (["pack", "1", "--price-cents", "5"], "A price has a currency"),
        (["pack", "1", "--from", "soon"], 'invalid input syntax for type timestamp with time zone: "soon"'),
        (["pack"], "Usage:"),
    ],
)
def test_a_product_that_cannot_be_is_refused_in_a_sentence(
    run: Run, database: Database, arguments: list[str], message: str
) -> None:
    outcome = run("products", "set", *arguments, "--db-url", database.dsn())
    assert outcome.code == 1
    assert message in outcome.err
    assert json.loads(run("products", "list", "--db-url", database.dsn(), "--json").out) == []


def test_products_are_imported_all_of_them(run: Run, database: Database, tmp_path: Path) -> None:
    file, url = tmp_path / "products.csv", ["--db-url", database.dsn()]
    file.write_text(
        "\ufeffproduct_id,credits,store,price_cents,currency,active_from\r\n"
        'small,10,,,,\r\n"a, ""b""",20,stripe,990,USD,2026-01-01\r\n\r\n',
        encoding="utf-8",
        newline="",
    )
    for _ in range(2):
        assert run("products", "import", str(file), *url).out == "✓ 2 products set\n"
    small, other = json.loads(run("products", "list", *url, "--json").out)
    assert (small["store"], small["credits"], small["price_cents"], small["bonus_credits"]) == ("any", 10, None, 0)
    assert (other["store"], other["product_id"], other["price_cents"]) == ("stripe", 'a, "b"', 990)
    assert datetime.fromisoformat(other["active_from"]) == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("product_id,credits\na,1\nb,-1\n", "line 3: Credits are whole numbers"),
        ("product_id,credits\na,1\nb,x\n", 'line 3: invalid input syntax for type bigint: "x"'),
        ("product_id,credits\na,1\n\nb\n", "line 4: it has not as many columns"),
        ("product_id,credits\na,1\nb,1,1\n", "line 3: it has not as many columns"),
        ("product_id,credits\na,1\n,5\n", "line 3: A product id has 1 to 255 characters."),
        ('product_id,credits\na,1\n"b,5\n', "line 2: unexpected end of data"),
        ("product_id,price\n", "line 1: 'price' is no column"),
        ("product_id,credits,credits\n", "line 1: 'credits' is no column, or there twice"),
        ("product_id,store\na,any\n", "line 1: the column credits is missing"),
        ("", "line 1: the column product_id is missing"),
        ("product_id,credits\na,1\nb\xff,5\n", "That is no text in UTF-8."),
    ],
)
def test_an_import_sets_nothing_when_one_line_is_wrong_and_names_it(
    run: Run, database: Database, tmp_path: Path, text: str, message: str
) -> None:
    file, url = tmp_path / "products.csv", ["--db-url", database.dsn()]
    file.write_bytes(text.encode("latin-1"))
    outcome = run("products", "import", str(file), *url)
    assert outcome.code == 1
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert json.loads(run("products", "list", *url, "--json").out) == []


def test_events_are_listed_shown_and_retried_once_mended(run: Run, database: Database) -> None:
    user, url = database.sign_up(), ["--db-url", database.dsn()]
    with database.connect() as connection:
        client = Client(connection)
        client.process_stripe_event(paid(user, "pi_1"))
        client.process_stripe_event(paid(uuid4(), "pi_2"))
        client.process_revenuecat_event(bought(user, "1", "hat"))
    listed = json.loads(run("events", "list", *url, "--json").out)
    assert [(event["event_id"], event["state"], event["reason"]) for event in listed] == [
        ("rc_1", "failed", "unknown_product"), ("evt_pi_2", "parked", "unknown_user"),
        ("evt_pi_1", "failed", "unknown_product"),
    ]  # fmt: skip
    header, first, *_ = run("events", "list", "--limit", "1", *url).out.splitlines()
    assert header.split() == ["provider", "event_id", "type", "state", "reason", "received_at"]
    assert first.split()[:5] == ["revenuecat", "rc_1", "NON_RENEWING_PURCHASE", "failed", "unknown_product"]
    only = json.loads(run("events", "list", "--state", "parked", *url, "--json").out)
    assert [event["event_id"] for event in only] == ["evt_pi_2"]
    assert "sleeping" in run("events", "list", "--state", "sleeping", *url).err

    shown = run("events", "show", "evt_pi_1", *url).out
    assert "unknown_product" in shown
    assert '"client_reference_id": ' in shown
    assert json.loads(run("events", "show", "evt_pi_1", *url, "--json").out)["body"] == json.loads(paid(user, "pi_1"))
    assert "There is no such event" in run("events", "show", "evt_0", *url).err

    for arguments in ([], ["evt_pi_1", "--all-failed"]):
        assert "Name events, or say --all-failed." in run("events", "retry", *arguments, *url).err
    assert "There is no event evt_0" in run("events", "retry", "evt_pi_1", "evt_0", *url).err
    still = run("events", "retry", "evt_pi_1", *url)
    assert (still.code, still.out) == (1, "· stripe evt_pi_1 checkout.session.completed failed unknown_product\n")
    assert run("products", "set", "pack", "100", *url).code == 0
    mended = run("events", "retry", "evt_pi_1", *url)
    assert (mended.code, mended.out) == (0, "✓ stripe evt_pi_1 checkout.session.completed processed\n")
    assert run("products", "set", "hat", "1", *url).code == 0
    done = json.loads(run("events", "retry", "--all-failed", *url, "--json").out)
    assert [(event["event_id"], event["state"]) for event in done] == [("rc_1", "processed")]
    assert run("events", "retry", "--all-failed", *url).code == 0
    with database.connect() as connection:
        assert Client(connection).get_user_credits_for(user).credits_remaining == 104


def test_an_event_of_a_user_who_left_is_shown_without_its_body(run: Run, database: Database) -> None:
    user, url = database.sign_up("ada@example.com"), ["--db-url", database.dsn()]
    with database.connect() as connection:
        Client(connection).process_revenuecat_event(bought(user))
        Client(connection).process_revenuecat_event(b'{"event": {"id": "odd", "type": "\\u001b[2J\\ud800"}}')
    run("products", "set", "pack", "1", *url)
    run("events", "retry", "rc_1000", *url)
    with database.connect() as connection:
        Client(connection).delete_user_account_for(user)
    shown = run("events", "show", "rc_1000", *url)
    assert (shown.code, str(user) in shown.out, "body_sha256" in shown.out) == (0, False, True)
    (odd,) = [event["event_id"] for event in json.loads(run("events", "list", *url, "--json").out)][:1]
    assert odd.startswith("sha256:")
    for form in ([], ["--json"]):
        assert "\x1b" not in run("events", "show", odd, *url, *form).out


def test_events_from_files_are_put_through(run: Run, database: Database, tmp_path: Path) -> None:
    user, url = database.sign_up(), ["--db-url", database.dsn()]
    run("products", "set", "pack", "100", *url)
    one, many = tmp_path / "one.json", tmp_path / "many.jsonl"
    one.write_text(json.dumps(json.loads(paid(user)), indent=2))
    many.write_bytes(b"\n".join([bought(user), b"", paid(user), paid(uuid4(), "pi_2"), b""]))
    well = run("events", "replay", str(one), *url)
    assert (well.code, well.out) == (0, "✓ stripe evt_pi_1 checkout.session.completed processed\n")
    some = run("events", "replay", str(one), str(many), *url, "--json")
    assert [(event["provider"], event["state"]) for event in json.loads(some.out)] == [
        ("stripe", "processed"), ("revenuecat", "processed"), ("stripe", "processed"), ("stripe", "parked"),
    ]  # fmt: skip
    assert some.code == 1
    with database.connect() as connection:
        assert Client(connection).get_user_credits_for(user).credits_remaining == 203


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "line 1: no event of RevenueCat"),
        (b'{"object": "event"}\n{"object": "charge"}', "line 2: no event of RevenueCat"),
        (b'[{"object": "event"}]', "line 1: no event of RevenueCat"),
        (b"\xff", "That is no text in UTF-8."),
        (b'{"object": "event", "a": NaN}', "bodies.json: The body is what the provider sent, as JSON."),
        (b'{"object": "event", "a": "' + b"x" * 2**20 + b'"}', "bodies.json: An event has at most 1 MiB."),
    ],
)
def test_a_file_that_holds_no_event_is_refused(
    run: Run, database: Database, tmp_path: Path, body: bytes, message: str
) -> None:
    file = tmp_path / "bodies.json"
    file.write_bytes(body)
    outcome = run("events", "replay", str(file), "--db-url", database.dsn())
    assert outcome.code == 1
    assert message in outcome.err
    assert json.loads(run("events", "list", "--db-url", database.dsn(), "--json").out) == []


def test_a_secret_is_read_from_stdin_kept_and_never_printed(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, printed = ["--db-url", database.dsn()], []

    def keep(value: str, *arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.StringIO(value + "\n"))
        outcome = run("secret", "set", *arguments, *url)
        printed.append(outcome.out + outcome.err)
        return outcome

    first, second = "whsec_hunter2_first", "whsec_hunter2_second"
    assert keep(first, "stripe").out == "✓ stripe is set; one before it is valid for 24 hours yet\n"
    assert keep(second, "stripe", "--overlap", "1.5").code == 0
    assert "16 to 1000 characters" in keep("hunter2", "stripe").err
    assert "A secret is stripe, revenuecat" in keep(first, "paypal").err
    assert keep(first, "revenuecat", "--overlap", "-1").code == 1
    assert run("secret", "set", "stripe", second, *url).code == 1  # a value is no argument
    body = b'{"id": "evt_1", "object": "event", "type": "payout.paid"}'
    with database.connect() as connection:
        for value, expected in ((first, True), (second, True), ("hunter2", False)):
            query = "select credits_private.is_signed('stripe', %s, %s)"
            assert connection.execute(query, [sign(body, value), body.decode()]).fetchone() == (expected,)
    listed = run("secret", "list", *url, "--json").out
    old, new = json.loads(listed)
    assert (old["name"], new["name"], new["valid_until"]) == ("stripe", "stripe", None)
    left = datetime.fromisoformat(old["valid_until"]) - datetime.fromisoformat(new["added_at"])
    assert left.total_seconds() == 5400
    table = run("secret", "list", *url).out
    assert [line.split()[0] for line in table.splitlines()] == ["name", "stripe", "stripe"]
    assert keep(second, "stripe", "--overlap", "0").out == "✓ stripe is set, alone\n"
    assert len(json.loads(run("secret", "list", *url, "--json").out)) == 2
    with database.connect() as connection:
        query = "select credits_private.is_signed('stripe', %s, %s)"
        assert connection.execute(query, [sign(body, first), body.decode()]).fetchone() == (False,)
    assert "hunter2" not in "".join([*printed, listed, table])


def test_a_secret_typed_at_a_terminal_is_not_shown(database: Database) -> None:
    keyboard, terminal = pty.openpty()
    command = [sys.executable, "-m", "credits_db.cli", "secret", "set", "stripe", "--db-url", database.dsn()]
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True) as process:
        os.close(terminal)
        impatient = threading.Timer(60, process.kill)
        impatient.start()
        seen = b""
        while not seen.endswith(b"(not shown): "):  # the last blank comes once nothing is echoed any more
            seen += os.read(keyboard, 1000)
        os.write(keyboard, b"whsec_hunter2_typed\n")
        with suppress(OSError):  # the terminal is gone with its process
            while text := os.read(keyboard, 1000):
                seen += text
        impatient.cancel()
    os.close(keyboard)
    assert process.returncode == 0
    assert b"valid for 24 hours" in seen
    assert b"hunter2" not in seen
    with database.connect() as connection:
        query = "select value from credits_private.secrets where name = 'stripe'"
        assert connection.execute(query).fetchall() == [("whsec_hunter2_typed",)]


# the credits themselves ----------------------------------------------------------------------------------------------


def test_a_balance_is_explained_in_sentences(run: Run, database: Database) -> None:
    user, url = database.sign_up("ada@example.com"), ["--db-url", database.dsn()]
    with database.connect() as connection, freeze(connection, datetime.now(UTC)):
        client = Client(connection)
        client.add_credits_for(user, 10, expires_at=datetime(2100, 1, 2, tzinfo=UTC))
        client.reserve_credits_for(user, 4)
        summary = client.explain_balance_for(user)["summary"]
        said = run("explain", str(user), *url)
        assert (said.code, said.out.splitlines()) == (0, summary)
        assert "2 January 2100" in said.out
        assert run("explain", str(user).upper(), *url).out == run("explain", "Ada@Example.com", *url).out == said.out
        assert json.loads(run("explain", "ada@example.com", "--json", *url).out)["summary"] == summary
        for nobody in (str(uuid4()), "grace@example.com", "'", ""):
            refused = run("explain", nobody, *url)
            assert (refused.code, refused.out, refused.err) == (1, "", "There is no such user.")


def test_maintain_does_what_is_due_batch_by_batch_until_nothing_is(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, users = ["--db-url", database.dsn()], [database.sign_up() for _ in range(3)]
    nothing = dict.fromkeys((field.name for field in fields(MaintenanceReport)), 0)
    batches = []

    def in_small_batches(client: object) -> Call[MaintenanceReport]:
        batches.append(client)
        return Call("run_maintenance", {"max_items": 1}, one(MaintenanceReport))

    monkeypatch.setattr(ServiceProcedures, "run_maintenance", rpc(in_small_batches))
    with database.connect() as connection, freeze(connection, datetime.now(UTC)) as clock:
        client = Client(connection)
        for user in users:
            client.add_credits_for(user, 5, expires_at=clock.now + timedelta(hours=1))
        client.reserve_credits_for(database.sign_up(), 2, timedelta(minutes=10))
        client.process_stripe_event(paid(uuid4()))
        assert json.loads(run("maintain", "--json", *url).out) == nothing
        clock.advance(timedelta(hours=1))
        said = run("maintain", *url)
        assert (said.code, said.out) == (0, "✓ store events waiting 1, accounts 4, expirations 3, holds 1\n")
        assert len(batches) >= 4
        assert run("maintain", *url).out == "✓ Nothing was due.\n"
        assert [client.get_transaction_history_for(user, 1)[0].type for user in users] == ["expiration"] * 3


@pytest.mark.session("whether the server lets it in")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_maintain_goes_on_at_its_interval_over_a_restart_until_it_is_stopped(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    slept = []

    def sleep(seconds: float) -> None:
        """What happens between the turns: the server goes, comes back, and the command is stopped."""
        slept.append(seconds)
        with database.connect("postgres", dbname="postgres") as superuser:
            if len(slept) < 3:
                query = f"alter database {database.name} allow_connections {len(slept) == 2}"
                superuser.execute(query.encode())
            else:
                os.kill(os.getpid(), how)

    monkeypatch.setattr(time, "sleep", sleep)
    before = signal.getsignal(signal.SIGTERM)
    try:
        said = run("maintain", "--every", "5m", "--db-url", database.dsn())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (said.code, slept, said.out) == (0, [300, 300, 300], "✓ Nothing was due.\n" * 2)
    assert "not currently accepting connections" in said.err
    assert said.err.endswith("\nNext try in 300 s.\n")


def test_an_interval_is_a_number_with_a_unit(run: Run) -> None:
    for text, seconds in (("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400)):
        assert cli_credits.interval(text) == seconds
    for text in ("5", "m", "0s", "-5m", "5 m", "1.5h", "5M", "", "99999d", "9" * 30 + "d"):
        refused = run("maintain", f"--every={text}", "--db-url", "postgresql:///nowhere")
        assert (refused.code, refused.out) == (1, "")
        assert "An interval is a number with s, m, h or d, for instance 5m." in refused.err


def test_a_database_without_all_migrations_is_not_maintained_or_explained(run: Run, empty: Database) -> None:
    url = ["--db-url", empty.dsn()]
    commands = ["maintain"], ["maintain", "--every", "1s"], ["explain", "ada@example.com"]
    refusals = [run(*command, *url) for command in commands[:2]]
    run("push", "--to", "0001_core", *url)
    refusals += [run(*command, *url) for command in commands]
    assert {(said.code, said.err) for said in refusals} == {
        (1, "The database does not have all migrations: push first.")
    }


def test_push_says_what_became_of_the_schedule_of_maintenance(run: Run, database: Database) -> None:
    with database.connect() as connection:
        connection.execute(
            """
            create or replace function credits_private.schedule_maintenance() returns text language sql
            set search_path = '' as $$ select 'It runs on Mondays.' $$
            """
        )
    url = ["--db-url", database.dsn()]
    assert run("push", *url).out.endswith("\nIt runs on Mondays.\n")
    assert "Mondays" not in run("push", "--dry-run", *url).out


def test_sql_prints_the_present_definition(run: Run) -> None:
    assert "create or replace function public.consume_credit(" in run("sql", "consume_credit").out
    assert "Did you mean" in run("sql", "consume_credt").err
    assert run("sql").out.count("create or replace function") > 30


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://me:hunter2@127.0.0.1:1/app", "Connection refused"),
        ("postgresql://me:hunter2@/app?host=/nowhere", "/nowhere"),
        ("nonsense hunter2", "That is no database URL"),
        ("postgresql://me:hunter2@host/app?bad=1", "That is no database URL"),
    ],
)
def test_a_bad_database_is_a_sentence_without_the_password(run: Run, url: str, message: str) -> None:
    outcome = run("status", "--db-url", url)
    assert outcome.code == 1
    assert message in outcome.err
    assert "hunter2" not in outcome.out + outcome.err
    assert "Traceback" not in outcome.err


def test_a_database_without_credits_says_push_first(run: Run, empty: Database) -> None:
    assert "has no credits-db yet" in run("settings", "list", "--db-url", empty.dsn()).err


@pytest.mark.parametrize(
    "arguments",
    [
        ["push", "postgresql://me:hunter2@host/app"],
        ["status", "--db-url", "postgresql://me:p@sshunter2@localhost/app"],
        ["verify", "--dburl=postgresql://me:hunter2@host/app"],
    ],
)
def test_a_password_in_the_wrong_place_is_not_shown(run: Run, arguments: list[str]) -> None:
    outcome = run(*arguments)
    assert outcome.code == 1
    assert outcome.err
    assert "hunter2" not in outcome.out + outcome.err


def test_a_negative_value_is_out_of_bounds_and_no_option(run: Run, database: Database) -> None:
    outcome = run("settings", "set", "--db-url", database.dsn(), "signup_bonus", "-5")
    assert "signup_bonus is a whole number from 0 to 1000000." in outcome.err


def test_a_mistyped_command_is_refused_and_is_no_drift(run: Run) -> None:
    for arguments in (["verify", "--typo"], ["pusch"], ["settings", "set", "signup_bonus"]):
        outcome = run(*arguments)
        assert outcome.code == 1
        assert "Usage:" in outcome.err


def test_the_database_may_come_from_the_environment(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database.dsn())
    assert run("status").code == 0


def test_demo_takes_the_whole_tour_and_leaves_no_database(run: Run, templates: Templates) -> None:
    server = templates.get("plain", pushed=True)
    url = server.dsn().replace(f"/{server.name}?", "/postgres?")
    tour = run("demo", "--db-url", url)
    assert tour.code == 0
    assert "insufficient_credits" in tour.out
    assert "the same ledger row again" in tour.out
    assert tour.out.count("clean") == 2
    assert tour.out.count("ada has 103") == 2
    assert re.findall(r"grace has (.*)", tour.out) == ["50", "-50", "50"]
    paid, again, pro = re.findall(r"(\w{8}), paid by (\w+) +ada has (\d+)", tour.out)
    assert (again, pro[1:]) == (paid, ("entitlement", paid[2]))
    assert "the same as before: yes" in tour.out
    [(total, written_off, held)] = re.findall(r"(\d+) in the books, less (\d+): ada and grace have (\d+)", tour.out)
    assert int(total) - int(written_off) == int(held)
    assert re.findall(r"^   linus +(\d+) credits$", tour.out, re.MULTILINE) == ["3", "0"]
    with server.connect() as connection:
        query = "select count(*) from pg_database where datname like 'credits_demo_%'"
        assert connection.execute(query).fetchone() == (0,)


def test_every_command_of_the_readme_exists(run: Run) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    commands = {line.split("#")[0].split()[1] for line in readme.splitlines() if line.startswith("credits-db ")}
    assert commands
    for command in commands:
        assert run(command, "--help").code == 0


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for the embedded Postgres of this test; the server of root must be able to reach it."""
    folder = Path(tempfile.mkdtemp(prefix="credits"))
    folder.chmod(0o755)
    monkeypatch.setenv("CREDITS_DB_HOME", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.session("a server of its own")
def test_the_embedded_postgres_goes_up_and_down(run: Run, home: Path) -> None:
    assert run("local", "status").code == 1
    assert run("push", "--local").code == 0  # starts it, and stops it again
    assert json.loads(run("local", "status", "--json").out)["running"] is False
    url = run("local", "up").out.strip()
    try:
        assert run("local", "up").out.strip() == url
        assert run("local", "status").out.startswith("Running (pid ")
        assert "up to date" in run("push", "--db-url", url).out
        assert run("push", "--local").code == 0
        assert run("local", "psql", "-Atc", "select count(*) from credits_private.migrations").code == 0
        assert run("demo").code == 0
    finally:
        stopped = run("local", "down")
    assert (stopped.code, stopped.out) == (0, "Stopped.\n")
    assert run("local", "down").out == "It was not running.\n"
    assert str(home) in run("local", "status").out


def test_without_psql_it_says_what_to_install(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = home / "bin"
    bare.mkdir()
    for program in ("initdb", "postgres"):
        (bare / program).symlink_to(local.bin_dir() / program)
    monkeypatch.setattr(local, "bin_dir", lambda: bare)
    monkeypatch.setenv("PATH", str(bare))
    refused = run("local", "psql")
    assert (refused.code, refused.out) == (1, "")
    assert "apt-get install postgresql-client" in refused.err
