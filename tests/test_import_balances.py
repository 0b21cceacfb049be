"""credits-db import-balances: what users had somewhere else, credited once, line by line."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from conftest import Database, Outcome, Run

from credits_db import Client, cli_import
from credits_db.testing import freeze

ADA, BOB = UUID("ada00000-0000-4000-8000-000000000001"), UUID("b0b00000-0000-4000-8000-000000000002")


class Import:
    """The command on a database with Ada, Bob and two who share an address."""

    def __init__(self, run: Run, database: Database, file: Path) -> None:
        self.run, self.database, self.file = run, database, file
        database.sign_up("Ada@Example.com", id=ADA)
        database.sign_up("bob@example.com", id=BOB)

    def __call__(self, text: str | bytes, *options: str) -> Outcome:
        self.file.write_bytes(text.encode() if isinstance(text, str) else text)
        return self.run("import-balances", str(self.file), "--db-url", self.database.dsn(), *options)

    def says(self, text: str, *options: str) -> dict[str, Any]:
        outcome = self(text, *options, "--json")
        said: dict[str, Any] = json.loads(outcome.out)
        assert outcome.code == (1 if said["failed"] else 0)
        return said

    def reasons(self, *lines: str) -> list[str]:
        """Why each of these lines was not credited."""
        said = self.says("\n".join(["user,amount,expires_at,key", *lines]))
        assert [failed["line"] for failed in said["failed"]] == list(range(2, len(lines) + 2))
        return [failed["reason"] for failed in said["failed"]]

    def ledger(self) -> list[tuple[Any, ...]]:
        """Every row that was imported, with the end of its lot."""
        query = """
            select t.user_id, t.amount, t.type::text, t.description, l.expires_at, t.idempotency_key
            from public.credit_transactions as t
            left join credits_private.credit_lots as l using (user_id, seq)
            where t.type <> 'signup_bonus'
            order by t.user_id, t.seq
            """
        with self.database.connect() as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def imports(run: Run, database: Database, tmp_path: Path) -> Import:
    return Import(run, database, tmp_path / "balances.csv")


def test_a_file_is_credited_once_however_often_it_comes(imports: Import) -> None:
    text = (
        "\ufeffuser,amount,expires_at,key\r\n"
        f'{str(ADA).upper()},10,,old-1\r\n" ADA@example.COM ","20",2999-01-31,\r\n\r\n'
        "bob@example.com,5,2999-01-31T12:00:00+02:00,\r\nbob@example.com,5,2999-01-31T12:00:00+02:00,\r\n"
    )
    first = imports(text)
    assert (first.code, first.err) == (0, "")
    assert "✓ 4 credited, 40 credits in all\n" in first.out
    midnight, morning = datetime(2999, 1, 31, tzinfo=UTC), datetime(2999, 1, 31, 10, tzinfo=UTC)
    ledger = imports.ledger()
    assert [row[:5] for row in ledger] == [
        (ADA, 10, "bonus", "Imported balance", None), (ADA, 20, "bonus", "Imported balance", midnight),
        (BOB, 5, "bonus", "Imported balance", morning), (BOB, 5, "bonus", "Imported balance", morning),
    ]  # fmt: skip
    assert ledger[0][5] == "old-1"
    again = imports(text)
    assert again.code == 0
    assert "✓ 0 credited, 0 credits in all\n✓ 4 already there\n" in again.out
    assert imports.ledger() == ledger
    lines = text.splitlines()
    assert imports.says("\n".join([lines[0], *reversed(lines[1:])]))["replayed"] == 4, "in any order"
    assert imports.says(f"user,amount,expires_at\n{ADA},20,2999-01-31\n")["replayed"] == 1, "by id or by address"
    assert imports.says(f"{text}bob@example.com,5,2999-01-31T12:00:00+02:00,")["credited"] == 1, "a third is one more"


def test_a_line_means_the_same_however_a_spreadsheet_has_written_it(imports: Import) -> None:
    noon = ["2999-06-01T12:00:00Z", "2999-06-01 12:00Z", "2999-06-01T12:00:00.000+00", "2999-06-01T14:00:00+0200"]
    for same in (
        ["100,", "0100,", " 100 ,"],
        ["100,2999-06-01", "100,2999-06-01T00:00:00Z", "0100,2999-06-01 00:00:00Z", "100,2999-06-01T00:00+00"],
        [f"7,{at}" for at in [*noon, "2999-06-01T09:30:00.0-02:30"]],
    ):
        for number, line in enumerate(same):
            said = imports.says(f"user,amount,expires_at\nada@example.com,{line}\n")
            assert (said["credited"], said["replayed"]) == ((1, 0) if number == 0 else (0, 1)), line
    both = imports.says(f"user,amount,expires_at\n{BOB},100,2999-06-01\n{BOB},0100,2999-06-01T00:00:00Z\n")
    assert both["credited"] == 2, "twice in one file is two"
    assert imports.says(f"user,amount,expires_at\n{BOB},100,2999-06-01T00:00:01Z\n")["credited"] == 1
    assert len(imports.ledger()) == 6


@pytest.mark.parametrize("column", ["user", "address"])
def test_a_line_that_cannot_be_credited_says_why_and_the_others_are(imports: Import, column: str) -> None:
    for shared in ("Shared@example.com", "shared@EXAMPLE.com"):
        imports.database.sign_up(shared)
    outcome = imports(
        f"{column},amount\nada@example.com,1\nnobody@example.com,1\nshared@example.com,1\nada@example.com,-1\n"
        "ada@example.com\nada@example.com,1,1\n,1\nbob@example.com,2\n"
    )
    assert outcome.code == 1
    assert outcome.out.splitlines()[-7:] == [
        "✓ 2 credited, 3 credits in all",
        "· line 3: there is no such user",
        "· line 4: several users have this address: name one by id",
        "· line 5: an amount is a whole number of credits from 1 to 1000000000000",
        "· line 6: it has not as many columns as the first line names",
        "· line 7: it has not as many columns as the first line names",
        "· line 8: there is no such user",
    ]
    assert [row[:2] for row in imports.ledger()] == [(ADA, 1), (BOB, 2)]


def test_an_amount_is_a_whole_number_of_credits(imports: Import) -> None:
    wrong = ["", "0", "-1", "+1", "1.5", "1e3", "1 000", "x", "1000000000001", "9" * 40, "٣"]
    assert imports.reasons(*(f"{ADA},{amount},," for amount in wrong)) == ["invalid_amount"] * len(wrong)


def test_a_date_is_of_iso_and_an_instant_has_its_zone(imports: Import) -> None:
    wrong = ["tomorrow", "infinity", "2999-02-30", "2999-01-31T12:00:00", "2999-1-1", "31.01.2999", "2999-01-31T25:00Z"]
    wrong += ["2999-01-31T12:00+99:00", "now Z", "0000-01-01"]
    assert imports.reasons(*(f"{ADA},1,{date}," for date in wrong)) == ["invalid_date"] * len(wrong)


@pytest.mark.corrupts
def test_a_refusal_of_the_engine_is_the_reason_of_its_line(imports: Import) -> None:
    with imports.database.connect() as connection:
        client = Client(connection)
        client.consume_credit_for(ADA, 1, idempotency_key="spent")
        full = "update public.user_credits set total_credits = %s, credits_remaining = %s where user_id = %s"
        connection.execute(full, [2**53 - 2, 2**53 - 2, BOB])
    assert imports.reasons(
        f"{ADA},1,,spent",
        f"{ADA},1,,credits:signup_bonus",
        f"{ADA},1,,{'x' * 256}",
        f"{ADA},1,2020-01-01,",
        f"{uuid4()},1,,",
        f"{str(ADA)[:-1]},1,,",
        f"{BOB},2,,",
    ) == [
        "idempotency_key_reused", "invalid_idempotency_key", "invalid_idempotency_key", "expired", "account_not_found",
        "account_not_found", "balance_limit",
    ]  # fmt: skip
    assert [row[:2] for row in imports.ledger() if row[0] == ADA] == [(ADA, -1)]


def test_credits_that_were_imported_stay_so_when_their_time_is_over(imports: Import) -> None:
    text = f"user,amount,expires_at\n{ADA},1,2031-01-01\n"
    with imports.database.connect() as connection, freeze(connection, datetime(2030, 1, 1, tzinfo=UTC)) as clock:
        assert imports.says(text)["credited"] == 1
        clock.advance(timedelta(days=400))
        assert imports.says(text)["replayed"] == 1


def test_a_dry_run_says_the_same_and_changes_nothing(imports: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_import, "BATCH", 1)
    text = f"user,amount,key\n{ADA},1,a\n{BOB},1,a\nada@example.com,2,a\n{BOB},1,a\nnobody,1,a\n"
    dry = imports.says(text, "--dry-run")
    assert imports.ledger() == []
    assert dry.pop("dry_run")
    assert imports(text, "--dry-run").out.endswith("Dry run: nothing was changed.\n")
    done = imports.says(text)
    assert not done.pop("dry_run")
    assert done == dry == {
        "credited": 2, "credits": 2, "replayed": 1,
        "failed": [{"line": 4, "reason": "idempotency_key_reused"}, {"line": 6, "reason": "account_not_found"}],
    }  # fmt: skip


def test_what_is_no_file_of_balances_is_refused_in_a_sentence(imports: Import) -> None:
    for text, message in (
        (b"", "line 1: the column user or address is missing."),
        (b"user,key\n", "line 1: the column amount is missing."),
        (b"amount\n1\n", "line 1: the column user or address is missing."),
        (b"user,amount,expires\n", "line 1: 'expires' is no column, or there twice"),
        (b"user,amount,amount\n", "line 1: 'amount' is no column, or there twice"),
        (b'user,amount\na,"1\n', "line 1: unexpected end of data."),
        (b"user,amount\n\xff,1\n", "That is no text in UTF-8."),
        ("user,amount\na,1\n".encode("utf-16"), "That is no text in UTF-8."),
        (b"user,amount\na\0,1\n", "line 2: "),
    ):
        outcome = imports(text)
        assert (outcome.code, outcome.out) == (1, "")
        assert message in outcome.err
        assert "Traceback" not in outcome.err
    assert imports.ledger() == []


def test_nothing_but_the_first_line_is_done_at_once(imports: Import) -> None:
    assert imports("user,amount\n").code == 0


def test_a_database_without_credits_is_told_to_push(run: Run, empty: Database, tmp_path: Path) -> None:
    file = tmp_path / "balances.csv"
    file.write_text("user,amount\n")
    outcome = run("import-balances", str(file), "--db-url", empty.dsn())
    assert (outcome.code, outcome.err) == (1, "The database does not have all migrations: push first.")


def test_a_balance_that_is_locked_is_waited_for(imports: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"user,amount\n{ADA},1\n{BOB},1\n"
    monkeypatch.setattr("credits_db.migrations.LOCK_TIMEOUT", "1ms")
    with imports.database.connect(autocommit=False) as other:
        other.execute("select from public.user_credits where user_id = %s for update", [BOB])
        monkeypatch.setattr(cli_import, "ATTEMPTS", 2)
        outcome = imports(text)
        assert outcome.code == 1
        assert "Something keeps a balance locked." in outcome.err
        monkeypatch.setattr(cli_import, "ATTEMPTS", 20)
        release = threading.Timer(0.1, other.execute, ["commit"])
        release.start()
        assert imports.says(text)["credited"] == 2
        release.join()


def test_many_addresses_are_found_in_one_look(imports: Import) -> None:
    """Not line by line: there is no index on auth.users that finds an address without its case."""
    with imports.database.connect() as connection:
        connection.execute(
            """
            insert into auth.users (id, email)
            select gen_random_uuid(), 'U' || n || '@example.com' from generate_series(1, 2000) as n
            """
        )
    began = time.monotonic()
    said = imports.says("user,amount\n" + "".join(f"u{n}@EXAMPLE.com,{n}\n" for n in range(1, 2001)))
    assert (said["credited"], said["credits"], said["failed"]) == (2000, 2001000, [])
    assert time.monotonic() - began < 30
