"""The command `credits-db`: parses, calls, prints. What it decides stands in migrations.py and in the SQL.

Exit codes: 0 done, 1 refused or something pending, 2 the database has drifted from what ships.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from credits_db._console import AsJson, DbUrl, Local, database, explain, good, redact, table, waiting
from credits_db.cli_credits import explain_user, maintain
from credits_db.cli_import import import_balances
from credits_db.cli_store import events, products, secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

    from credits_db import demo as tour
    from credits_db import local as server
    from credits_db import migrations

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Prepaid credits inside your own Postgres.")
settings = typer.Typer(no_args_is_help=True, help="List or change the settings of a database.")
local = typer.Typer(no_args_is_help=True, help="The embedded Postgres: nothing to install, no Docker.")
app.add_typer(settings, name="settings")
app.add_typer(products, name="products")
app.add_typer(events, name="events")
app.add_typer(secret, name="secret")
app.add_typer(local, name="local")

With = Annotated[list[str] | None, typer.Option("--with", help="A track beside the core: app. Remembered afterwards.")]


@app.callback()
def load() -> None:
    """Import what the commands need, once one of them is asked for: `--help` is to be quick."""
    global migrations, server, tour
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # its warnings repeat what is said below
    from credits_db import demo as tour
    from credits_db import local as server
    from credits_db import migrations


def target(connection: Connection) -> str:
    """The database in words, without a password."""
    info = connection.info
    return f"{info.dbname} on {info.host or 'this machine'} (Postgres {info.server_version // 10000})"


@app.command()
def push(
    db_url: DbUrl = None,
    use_local: Local = False,
    more: With = None,
    to: Annotated[str | None, typer.Option(help="Stop after this migration.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do it, then roll it back; opens no accounts.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Show what happens to what is there already.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Answer questions with yes.")] = False,
) -> None:
    """Apply the migrations that a database does not have yet."""
    if plan:
        raise typer.Exit(show_plan(db_url, use_local, more or ()))

    def confirm(gift: str) -> bool:
        typer.secho(gift, fg="yellow")
        return yes or dry_run or (sys.stdin.isatty() and typer.confirm("Go on?"))

    screen = ExitStack()
    bar = cache(lambda users: screen.enter_context(typer.progressbar(length=users, label="Opening accounts")))

    def progress(opened: int, users: int) -> None:
        bar(users).update(opened - bar(users).pos)

    def report(migration: migrations.Migration) -> None:
        screen.close()  # the bar's line ends here
        good(migration.id)

    with screen, database(db_url, use_local) as connection:
        connection.add_notice_handler(lambda notice: typer.echo(notice.message_primary))
        typer.secho(f"{'Dry run: ' if dry_run else ''}{target(connection)}", bold=True)
        done = migrations.push(
            connection, more=more or (), to=to, dry_run=dry_run, confirm=confirm, report=report, progress=progress
        )
        maintenance = None if dry_run else migrations.schedule_maintenance(connection)
    if dry_run:
        typer.echo(f"{len(done)} to apply. Nothing was changed.")
    else:
        typer.echo(f"{len(done)} applied." if done else "Nothing to apply: up to date.")
    if maintenance:
        typer.echo(maintenance)


def show_plan(db_url: str | None, use_local: bool, more: Sequence[str]) -> int:
    """What push would do with what the database has already. 1 when something is in the way."""
    with database(db_url, use_local) as connection:
        steps, title = migrations.plan(connection, more), target(connection)
    typer.secho(title, bold=True)
    for step in steps:
        colour = {"adopt": "green", "leave": "yellow", "refuse": "red"}[step.action]
        typer.echo(f"{typer.style(step.action, fg=colour)} {typer.style(step.object, bold=True)}: {step.text}")
        if step.remedy:
            typer.echo(f"  {step.remedy}")
    typer.echo("Nothing was changed." if steps else "Nothing is in the way, and nothing to take over.")
    return int(any(step.action == "refuse" for step in steps))


@app.command()
def status(db_url: DbUrl = None, use_local: Local = False, as_json: AsJson = False) -> None:
    """Show which migrations a database has.

    Exit code 1 when some are pending.
    """
    with database(db_url, use_local) as connection:
        todo = [migration.id for migration in migrations.pending(connection)]
        done, name, title = list(migrations.history(connection)), connection.info.dbname, target(connection)
    if as_json:
        typer.echo(json.dumps({"database": name, "applied": done, "pending": todo}))
    else:
        typer.secho(title, bold=True)
        for id in done:
            good(id)
        for id in todo:
            waiting(f"{id} (pending)")
    raise typer.Exit(1 if todo else 0)


@app.command()
def verify(db_url: DbUrl = None, use_local: Local = False, as_json: AsJson = False) -> None:
    """Compare a database with what ships.

    Tables, functions, policies, triggers, grants. Exit code 2 when something differs.
    """
    with database(db_url, use_local) as connection:
        drift, name, title = migrations.verify(connection), connection.info.dbname, target(connection)
    if as_json:
        typer.echo(json.dumps({"database": name, "drift": drift}))
    elif drift:
        typer.echo("\n".join(drift))
        typer.echo("- is missing here, + is not ours: the database has drifted from credits-db.", err=True)
    else:
        good(f"{title} is what credits-db ships.")
    raise typer.Exit(2 if drift else 0)


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(help="For instance supabase/migrations.")], more: With = None
) -> None:
    """Write the migrations as files for supabase db push.

    A file that is there already stays; one that was edited is refused.
    """
    written = migrations.export(directory, more or ())
    for path in written:
        good(str(path))
    typer.echo("Next: supabase db push" if written else "Nothing to write: the folder has them all.")


@app.command()
def sql(name: Annotated[str | None, typer.Argument(help="An object, for instance consume_credit.")] = None) -> None:
    """Print the present definition of an object, or of all."""
    typer.echo(migrations.definition(name), nl=False)


@app.command()
def new(name: Annotated[str, typer.Argument(help="What changes, for instance cap_daily_spend.")]) -> None:
    """Write the next migration, in a checkout.

    From what changed in sql/: replaceable objects verbatim, a stop line for what a person must write.
    """
    good(str(migrations.new(name)))
    typer.echo("Say in it why, write what cannot be copied, and the check; then make generate.")


@settings.command("list")
def settings_list(db_url: DbUrl = None, use_local: Local = False, as_json: AsJson = False) -> None:
    """Show every setting with its value."""
    with database(db_url, use_local) as connection:
        query = "select s.name, s.value, s.description from credits_private.settings as s order by s.name"
        rows = connection.execute(query).fetchall()
    if as_json:
        typer.echo(json.dumps({name: value for name, value, _ in rows}))
    else:
        for name, value, description in rows:
            typer.echo(f"{typer.style(f'{name} = {value}', bold=True)}\n  {description}")


@settings.command("set", context_settings={"ignore_unknown_options": True})
def settings_set(name: str, value: str, db_url: DbUrl = None, use_local: Local = False) -> None:
    """Change a setting."""
    with database(db_url, use_local) as connection:
        connection.execute("select credits_private.set_setting(%s, %s)", [name, value])
    good(f"{name} is {value}")


@local.command("up")
def local_up() -> None:
    """Start it and leave it running; print its address."""
    typer.echo(server.up().dsn())


@local.command("down")
def local_down() -> None:
    """Stop it; the data stay."""
    typer.echo("Stopped." if server.down() else "It was not running.")


@local.command("psql", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def local_psql(context: typer.Context) -> None:
    """Open psql on it; further arguments go to psql."""
    program = shutil.which("psql", path=f"{server.bin_dir()}{os.pathsep}{os.environ.get('PATH', '')}")
    if not program:
        raise server.LocalError("There is no psql beside the server or on the PATH: apt-get install postgresql-client.")
    with server.running() as running:
        code = subprocess.call([program, running.dsn(), *context.args])
    raise typer.Exit(code)


@local.command("status")
def local_status(as_json: AsJson = False) -> None:
    """Say whether it runs, and where its data are.

    Exit code 1 when it does not run.
    """
    found = server.status()
    if as_json:
        typer.echo(json.dumps({"running": found.running, "pid": found.pid, "directory": str(found.directory)}))
    else:
        typer.echo(f"{f'Running (pid {found.pid})' if found.running else 'Not running'}, data in {found.directory}")
    raise typer.Exit(0 if found.running else 1)


@app.command()
def demo(db_url: DbUrl = None) -> None:
    """Take the tour on a throw-away database.

    On the embedded Postgres, or on the server that --db-url names.
    """
    if db_url:
        tour.run(db_url)
    else:
        with server.running() as running:
            tour.run(running.dsn())


@app.command()
def seed(
    db_url: DbUrl = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Also beside users, products or secrets of its own.")
    ] = False,
) -> None:
    """Fill a database with users who have a month behind them, to develop with.

    On the embedded Postgres, which is pushed first if need be, or on the database that --db-url names. A second time
    it changes nothing, but makes those anew who were deleted.
    """
    from credits_db import Client
    from credits_db import seed as garden

    with database(db_url, use_local=not db_url) as connection:
        if (others := garden.strangers(connection, only_users=not db_url)) and not yes:
            raise migrations.Refusal(
                f"This database has {' and '.join(others)} of its own: --yes if it is one to develop with."
            )
        if not db_url and not migrations.history(connection):
            migrations.push(connection, report=lambda migration: good(migration.id))
        migrations.require_all(connection)
        made, client = garden.run(connection), Client(connection)
        found = [(id, *said, client.get_user_credits_for(id)) for id, said in garden.USERS.items()]
    for thing in made:
        good(thing)
    if not made:
        typer.echo("It has been seeded before: nothing was changed.")
    rows = [
        (address, balance.credits_available, balance.credits_held, what, id) for id, address, what, balance in found
    ]
    table(("user", "credits", "held", "what", "id"), rows)
    where = "--db-url ..." if db_url else "--local"
    typer.echo(f"\nNext: credits-db explain grace@example.com {where}")
    if not db_url:
        typer.echo("      credits-db local psql")


app.command("explain")(explain_user)
app.command()(maintain)
app.command()(import_balances)


def main() -> None:
    """The entry point: every expected failure is a sentence on stderr and an exit code, never a traceback."""
    try:
        sys.exit(app(standalone_mode=False))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if show := getattr(error, "show", None):  # a usage error: typer would exit with 2, which is drift here
            vars(error)["message"] = redact(str(vars(error).get("message", "")))
            show()
            sys.exit(1)
        sys.exit(explain(error))


if __name__ == "__main__":
    main()
