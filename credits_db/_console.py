"""What the commands share: the options that name a database, and how things and errors are printed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from psycopg import Connection

DbUrl = Annotated[str | None, typer.Option("--db-url", help="Which database; else the variable DATABASE_URL.")]
Local = Annotated[bool, typer.Option("--local", help="Use the embedded Postgres, and start it if need be.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


@contextmanager
def database(db_url: str | None, use_local: bool) -> Iterator[Connection]:
    """The database that was asked for, or a refusal that names the three ways to ask."""
    from credits_db import local, migrations

    url = db_url or (None if use_local else os.environ.get("DATABASE_URL"))
    if url and not use_local:
        with migrations.connect(url) as connection:
            yield connection
    elif use_local and not url:
        with local.running() as running, migrations.connect(running.dsn()) as connection:
            yield connection
    elif use_local:
        raise migrations.Refusal("Either --db-url or --local, not both.")
    else:
        ways = "Give --db-url postgresql://..., or set DATABASE_URL, or say --local."
        raise migrations.Refusal(f"Which database? {ways}")


def good(text: str) -> None:
    typer.echo(typer.style("✓ ", fg="green") + text)


def waiting(text: str) -> None:
    typer.echo(typer.style("· ", fg="yellow") + text)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as what stands in them, whatever the width of the screen, so that nothing is cut off."""
    lines = [[_cell(value) for value in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        typer.secho(text, bold=number == 0)


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return "" if value is None else str(value)


def explain(error: Exception) -> str:
    """What went wrong, as a sentence for people. An error that is nobody's fault but ours is raised again."""
    import psycopg

    from credits_db import local, migrations
    from credits_db.errors import CreditsError, translate

    if isinstance(error, migrations.Refusal | local.LocalError):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        return "That is no text in UTF-8."
    place = "".join(f"{place}: " for place in getattr(error, "__notes__", []))
    refusal = translate(error) if isinstance(error, psycopg.Error) else error
    if isinstance(refusal, CreditsError):
        return f"{place}{refusal.hint} ({refusal.token})"
    if not isinstance(error, psycopg.Error):
        raise error
    if error.sqlstate in ("3F000", "42P01"):
        return "This database has no credits-db yet: credits-db push."
    if error.sqlstate is None and not isinstance(error, psycopg.OperationalError):
        return "That is no database URL: write postgresql://user@host/database."
    if error.sqlstate == "55P03":
        return "Another push is running, or something holds a lock: nothing was changed by this step, try again."
    return redact(place + str(error).strip())


def redact(text: str) -> str:
    """The text without what may hold a password: addresses, and pieces of one that was not percent-encoded."""
    return re.sub(r"[^\s'\"()]*(://|@)[^\s'\"()]*", "***", text)
