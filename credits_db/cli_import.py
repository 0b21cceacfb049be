"""The command `import-balances`: credits that users had somewhere else, from a file, each line once."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from credits_db._console import AsJson, DbUrl, Local, database, good, waiting
from credits_db._csv import UNEVEN, read_csv

if TYPE_CHECKING:
    from psycopg import Connection

BATCH = 1000  # lines in one transaction, in which their users wait to spend
NAMES = 50_000  # addresses that are looked up at once
ATTEMPTS = 10  # at a batch of which a balance is locked

# what import_balance, or this file, says of a line that was not credited
REASONS = {
    "uneven_line": UNEVEN,
    "account_not_found": "there is no such user",
    "ambiguous_address": "several users have this address: name one by id",
    "account_closed": "this account was deleted",
    "invalid_amount": "an amount is a whole number of credits from 1 to 1000000000000",
    "invalid_date": "expires_at is a date (2027-01-31) or an instant with its zone (2027-01-31T12:00:00Z)",
    "expired": "expires_at is past",
    "invalid_idempotency_key": "a key has 1 to 255 characters and does not begin with credits:",
    "idempotency_key_reused": "this key already names another operation of this user",
    "balance_limit": "the balance would grow beyond 2^53",
}


@dataclass(frozen=True, slots=True)
class Line:
    """What one line of the file asks for."""

    number: int
    user_id: UUID
    amount: str
    expires_at: str
    key: str


def import_balances(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="CSV: user, amount and, if you like, expires_at, key.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    db_url: DbUrl = None,
    use_local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Credit balances that users had somewhere else, from a CSV file.

    The first line names the columns: user (an id or an address; `address` will do as well), amount, expires_at, key.
    The same file again credits nothing twice. A line without a key is known by what it means, however it is written,
    and by how often the file says so: where another file may say the same and mean more credits, give its lines keys.
    Exit code 1 when a line was not credited.
    """
    from credits_db import migrations

    rows = read_csv(file, ("user", "address", "amount", "expires_at", "key"), (("user", "address"), ("amount",)))
    with database(db_url, use_local) as connection:
        migrations.require_all(connection)
        outcomes, lines = _read(connection, rows)
        with typer.progressbar(length=len(lines), label="Crediting", hidden=as_json) as bar:
            for batch in _batches(lines):
                outcomes |= _credit(connection, batch, dry_run)
                bar.update(len(batch))
    _report(lines, outcomes, dry_run, as_json)


def _read(
    connection: Connection, rows: Sequence[tuple[int, dict[str, str] | None]]
) -> tuple[dict[int, str], list[Line]]:
    """Why a line cannot even be tried, by its number, and all other lines, those of each user together."""
    wrong, lines, seen = dict[int, str](), list[Line](), Counter[tuple[UUID, str, str]]()
    found = _users(connection, {_who(row) for _, row in rows if row} - {""})
    for number, row in rows:
        ids = found.get(_who(row), []) if row else []
        if row is None:
            wrong[number] = "uneven_line"
        elif len(ids) != 1:
            wrong[number] = "ambiguous_address" if ids else "account_not_found"
        else:
            amount, expires_at, key = (row.get(name, "").strip() for name in ("amount", "expires_at", "key"))
            if not key:
                meaning = ids[0], _amount(amount), _instant(expires_at)
                seen[meaning] += 1
                content = json.dumps([*meaning[1:], seen[meaning]])
                key = f"import:{sha256(content.encode()).hexdigest()[:32]}"
            lines.append(Line(number, ids[0], amount, expires_at, key))
    return wrong, sorted(lines, key=lambda line: line.user_id)  # two imports lock balances in the same order


def _amount(text: str) -> str:
    """An amount in the one way to write it: 0100 means 100. What is none stays, and is refused later."""
    return str(int(text)) if re.fullmatch("[0-9]{1,13}", text) else text


def _instant(text: str) -> str:
    """An end in the one way to write it, in UTC: a date is its midnight. What is none stays, and is refused later."""
    with suppress(ValueError, OverflowError):
        at = datetime.fromisoformat(text)
        return (at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()
    return text


def _who(row: dict[str, str]) -> str:
    return row.get("user", "").strip() or row.get("address", "").strip()


def _users(connection: Connection, names: set[str]) -> dict[str, list[UUID]]:
    """The users whom a name may mean: an id means itself."""
    found, addresses = dict[str, list[UUID]](), list[str]()
    for name in names:
        if len(name) == 36 and "@" not in name:
            with suppress(ValueError):
                found[name] = [UUID(name)]
        else:
            addresses.append(name)
    for start in range(0, len(addresses), NAMES):
        query = "select credits_private.find_addresses(%s::text[])"
        row = connection.execute(query, [addresses[start : start + NAMES]]).fetchone()
        for address, ids in (row[0] if row else {}).items():
            found[address] = [UUID(id) for id in ids]
    return found


def _batches(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """So many lines at a time that nobody waits long. A user's lines stay together: so a dry run sees what they do."""
    batch: list[Line] = []
    for _, mine in groupby(lines, key=lambda line: line.user_id):
        batch.extend(mine)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _credit(connection: Connection, batch: Sequence[Line], dry_run: bool) -> dict[int, str]:
    """What became of each line of a batch, which is a transaction of its own."""
    import psycopg
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    from credits_db import migrations

    busy = psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected
    query = """
        select l.number, credits_private.import_balance(l.user_id, l.amount, l.expires_at, l.key)
        from unnest(%s::int[], %s::uuid[], %s::text[], %s::text[], %s::text[])
          as l (number, user_id, amount, expires_at, key)
        """
    columns = [[getattr(line, field.name) for line in batch] for field in fields(Line)]

    def run() -> dict[int, str]:
        with connection.transaction(force_rollback=dry_run):
            connection.execute("select set_config('lock_timeout', %s, true)", [migrations.LOCK_TIMEOUT])
            return dict(connection.execute(query, columns).fetchall())

    try:
        return Retrying(
            retry=retry_if_exception_type(busy),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            stop=stop_after_attempt(ATTEMPTS),
            reraise=True,
        )(run)
    except busy as error:
        raise migrations.Refusal(
            "Something keeps a balance locked. What was credited so far stays: import the same file again."
        ) from error


def _report(lines: Sequence[Line], outcomes: dict[int, str], dry_run: bool, as_json: bool) -> None:
    """Say what was credited and what was not, and leave with 1 where a line was not."""
    credited = [int(line.amount) for line in lines if outcomes[line.number] == "credited"]
    replayed = sum(outcome == "replayed" for outcome in outcomes.values())
    wrong = sorted((number, outcome) for number, outcome in outcomes.items() if outcome in REASONS)
    if as_json:
        failed = [{"line": number, "reason": reason} for number, reason in wrong]
        said = {"credited": len(credited), "credits": sum(credited), "replayed": replayed, "failed": failed}
        typer.echo(json.dumps({**said, "dry_run": dry_run}))
    else:
        good(f"{len(credited)} credited, {sum(credited)} credits in all")
        if replayed:
            good(f"{replayed} already there")
        for number, reason in wrong:
            waiting(f"line {number}: {REASONS[reason]}")
        if dry_run:
            typer.echo("Dry run: nothing was changed.")
    raise typer.Exit(1 if wrong else 0)
