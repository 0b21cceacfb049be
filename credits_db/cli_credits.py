"""The commands of the credits themselves: `explain` a balance to a person, `maintain` what has fallen due."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from credits_db._console import AsJson, DbUrl, Local, database, explain, good

if TYPE_CHECKING:
    from psycopg import Connection

    from credits_db.results import MaintenanceReport

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def explain_user(
    user: Annotated[str, typer.Argument(help="The id of a user, or their email address.")],
    db_url: DbUrl = None,
    use_local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Say in words where the balance of a user comes from.

    Lots, holds, what expires next, debts: sentences for a mail to the user.
    """
    from uuid import UUID

    from credits_db import Client, migrations

    with database(db_url, use_local) as connection:
        migrations.require_all(connection)
        query = (
            "select u.id from auth.users as u where u.id::text = lower(%(user)s) or lower(u.email) = lower(%(user)s)"
        )
        found: list[tuple[UUID]] = connection.execute(query, {"user": user}).fetchall()
        if len(found) != 1:
            raise migrations.Refusal(
                "Several users have this address: name one by id." if found else "There is no such user."
            )
        explained = Client(connection).explain_balance_for(found[0][0])
    if as_json:
        typer.echo(json.dumps(explained))
    else:
        summary = explained["summary"]
        assert isinstance(summary, list)  # noqa: S101
        for sentence in summary:
            typer.echo(sentence)


def interval(text: str) -> int:
    """The seconds of 30s, 5m, 1h or 1d."""
    match = re.fullmatch(r"([1-9][0-9]{0,3})([smhd])", text)
    if not match:
        raise typer.BadParameter("An interval is a number with s, m, h or d, for instance 5m.")
    return int(match[1]) * _SECONDS[match[2]]


def maintain(
    every: Annotated[int | None, typer.Option(parser=interval, metavar="5m", help="Go on, at this interval.")] = None,
    db_url: DbUrl = None,
    use_local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Do what has fallen due.

    Expiries, holds, recurring grants, and what stores sent. Credits are right without it: it keeps the books tidy.
    """
    import psycopg

    if every is None:
        _turn(db_url, use_local, as_json)
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while True:
            try:
                _turn(db_url, use_local, as_json)
            except (psycopg.OperationalError, psycopg.InternalError) as error:  # restarted, or no primary any more
                typer.echo(f"{explain(error)}\nNext try in {every} s.", err=True)
            time.sleep(every)
    except KeyboardInterrupt:  # SIGINT, SIGTERM: what was begun is rolled back
        return


def _turn(db_url: str | None, use_local: bool, as_json: bool) -> None:
    """Work on what is due until nothing of it is left, and say what was done."""
    from dataclasses import fields

    from credits_db import migrations

    with database(db_url, use_local) as connection:
        migrations.require_all(connection)
        reports = list(_batches(connection))
    done = {field.name: sum(getattr(report, field.name) for report in reports) for field in fields(reports[0])}
    if as_json:
        typer.echo(json.dumps(done))
    else:
        said = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in done.items() if count)
        good(said or "Nothing was due.")


def _batches(connection: Connection) -> Iterator[MaintenanceReport]:
    """What each batch did, every one a transaction of its own; the last one finds nothing."""
    from credits_db import Client

    client = Client(connection)
    yield (report := client.run_maintenance())
    while report.store_events or report.store_events_waiting or report.accounts:
        yield (report := client.run_maintenance())
