"""Push, status, verify: how a database gets the migrations, and how it is compared with what ships.

The files, their directives and their order are yoyo's. Applying them is ours: each migration is one
transaction that takes an advisory lock, reads the history again under it, runs the file, and records it (with
its SHA-256, and for `yoyo list`). So it holds through any pooler, two pushes at once apply nothing twice, and
a push that is killed leaves whole migrations or none. Roll-forward only.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential
from yoyo.migrations import read_migrations, read_sql_migration, topological_sort

Connection: TypeAlias = psycopg.Connection[Any]

TRACK = "credits"
LOCK_TIMEOUT = "5s"
_BACKFILL = "0003_open_existing_accounts"
_SIGNATURE = re.compile(r"create or replace function ([^$]*?)\n  language")


class Refusal(Exception):
    """Push, status or verify will not go on; the message says why and what to do. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of migrations/, as it ships."""

    id: str
    path: Path
    sha256: str

    @property
    def statements(self) -> list[str]:
        directives, _, statements = read_sql_migration(str(self.path))
        if directives.get("transactional", "true") != "true":
            raise Refusal(f"{self.path}: only transactional migrations can be pushed.")
        return list(statements)


def folder(name: str) -> Path:
    """`sql` or `migrations`: inside an installed package, beside it in a checkout."""
    packaged = Path(__file__).parent / name
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / name


def shipped() -> list[Migration]:
    """The migrations of this package in order, each checked against SHA256SUMS."""
    root = folder("migrations")
    lines = (line.partition("  ") for line in (root / "SHA256SUMS").read_text().splitlines())
    sums = {name: sha256 for sha256, _, name in lines}
    found = []
    for migration in topological_sort(read_migrations(str(root / TRACK))):
        path = Path(migration.path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if sums.get(f"{TRACK}/{path.name}") != sha256:
            raise Refusal(
                f"{path} is not the file that SHA256SUMS names. Install credits-db again; "
                "if you are writing this migration, run `make generate`."
            )
        found.append(Migration(migration.id, path, sha256))
    return found


def history(connection: Connection) -> dict[str, str]:
    """What the database has: the SHA-256 of each applied migration by its id, in the order of applying."""
    if connection.execute("select to_regclass('credits_private.migrations')").fetchone() == (None,):
        return {}
    rows = connection.execute("select id, sha256 from credits_private.migrations order by applied_at, id")
    return dict(rows.fetchall())


def pending(connection: Connection) -> list[Migration]:
    """What push would apply. Raises Refusal when history and files do not fit together."""
    files, applied = shipped(), history(connection)
    known = {migration.id: migration for migration in files}
    if missing := [id for id in applied if id not in known]:
        raise Refusal(
            f"The database has {', '.join(missing)}, which this version of credits-db does not ship: "
            "it was pushed by a newer one. Upgrade credits-db."
        )
    if edited := [id for id, sha256 in applied.items() if known[id].sha256 != sha256]:
        raise Refusal(
            f"{', '.join(edited)} was edited after it was applied here. An applied migration never changes: "
            "put the old text back and write a new migration."
        )
    todo = [migration for migration in files if migration.id not in applied]
    late = [m.id for m in todo if any(files.index(known[id]) > files.index(m) for id in applied)]
    if late:
        raise Refusal(
            f"{', '.join(late)} comes before a migration that the database already has. "
            "Give it a number after the newest one."
        )
    return todo


def push(
    connection: Connection,
    *,
    to: str | None = None,
    dry_run: bool = False,
    confirm: Callable[[str], bool] = lambda _: True,
    report: Callable[[Migration], None] = lambda _: None,
) -> list[Migration]:
    """Apply what is pending, up to the id `to`, and return it. The connection must be in autocommit mode.

    `confirm` is asked before existing users get credits. A dry run does everything and rolls it back.
    Raises Refusal, or psycopg errors with file and line in a note.
    """
    todo, done = pending(connection), []
    if to is not None:
        ids = [migration.id for migration in shipped()]
        if to not in ids:
            raise Refusal(f"There is no migration {to}. There are {', '.join(ids)}.")
        todo = [migration for migration in todo if ids.index(migration.id) <= ids.index(to)]
    with ExitStack() as stack:
        if dry_run:
            stack.enter_context(connection.transaction(force_rollback=True))
        if todo:
            _prepare(connection)
        for migration in todo:
            if migration.id == _BACKFILL and (gift := _gift(connection)) and not confirm(gift):
                raise Refusal(
                    f"Stopped before {migration.id}; all before it is in place. To give another amount: "
                    "credits-db settings set signup_bonus N, then push again."
                )
            if _apply(connection, migration):
                report(migration)
                done.append(migration)
    return done


def _lock(connection: Connection) -> None:
    connection.execute("select set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
    connection.execute("select pg_advisory_xact_lock(hashtextextended('credits_private.migrations', 0))")


_patiently = retry(
    retry=retry_if_exception_type(psycopg.errors.LockNotAvailable),
    wait=wait_random_exponential(max=5),
    stop=stop_after_attempt(5),
    reraise=True,
)


@_patiently
def _apply(connection: Connection, migration: Migration) -> bool:
    with connection.transaction():
        _lock(connection)
        if migration.id in history(connection):
            return False
        connection.execute("select set_config('search_path', '', true)")
        _run(connection, migration)
        facts = [migration.id, migration.sha256, os.environ.get("USER", "unknown"), socket.gethostname()]
        connection.execute("select credits_private.record_migration(%s, %s, %s, %s)", facts)
    return True


def _run(connection: Connection, migration: Migration) -> None:
    statements = migration.statements
    cursors: list[psycopg.Cursor[Any]] = []
    try:
        with connection.pipeline():
            for statement in statements:
                cursors.append(connection.execute(statement.encode()))
    except psycopg.Error as error:
        failed = next((i for i, c in enumerate(cursors) if c.pgresult is None), len(cursors))
        line = _line(migration.path.read_text(), statements, failed, error.diag.statement_position)
        error.add_note(f"{migration.path}:{line}")
        raise


def _line(source: str, statements: Sequence[str], failed: int, position: str | None) -> int:
    """The line of the file at which a statement failed: Postgres's own position, else its first line of code."""
    start = 0
    for statement in statements[:failed]:
        start = source.index(statement, start) + len(statement)
    statement = statements[failed]
    start = source.index(statement, start)
    code = re.match(r"(\s*(--[^\n]*)?\n)*\s*", statement)
    inner = int(position) - 1 if position else code.end() if code else 0
    return source.count("\n", 0, start + inner) + 1


def _gift(connection: Connection) -> str | None:
    """Who would get credits from opening the accounts of existing users, in words; None when nobody would."""
    row = connection.execute(
        """
        select count(*), (select s.value::bigint from credits_private.settings as s where s.name = 'signup_bonus')
        from auth.users as u
        where not u.is_anonymous and not exists (select from public.user_credits as a where a.user_id = u.id)
        """
    ).fetchone()
    users, bonus = row or (0, 0)
    if not users or not bonus:
        return None
    return f"{users} existing users get {bonus} credits each as their signup bonus, {users * bonus} in all."


@_patiently
def _prepare(connection: Connection) -> None:
    """Make what the first migration needs: history tables, and on plain Postgres the roles and schema auth."""
    with connection.transaction():
        _lock(connection)
        row = connection.execute(
            """
            select
              to_regnamespace('auth') is not null as schema,
              to_regprocedure('auth.uid()') is not null and 2 = (
                select count(*)
                from pg_attribute as a
                where a.attrelid = to_regclass('auth.users')
                  and (a.attname, a.atttypid) in (('id', 'uuid'::regtype), ('is_anonymous', 'boolean'::regtype))
              ) as whole,
              (select count(*) from pg_roles where rolname in ('anon', 'authenticated', 'service_role')) as roles,
              coalesce(to_regclass('public.user_credits'), to_regclass('public.credit_transactions')) as taken
            """
        ).fetchone()
        schema, whole, roles, taken = row or (False, False, 0, None)
        if taken and not history(connection):
            raise Refusal(f"There is a table {taken} already, and it is not credits-db's: rename it first.")
        if not schema:
            _install(connection, "plain")
        elif not whole:
            raise Refusal(
                "There is a schema auth, but without the table auth.users (id uuid, is_anonymous boolean) and the "
                "function auth.uid() that Supabase has. credits-db makes them where there is no schema auth."
            )
        elif roles < 3:
            raise Refusal("The roles anon, authenticated and service_role are missing: this is no Supabase database.")
        _install(connection, "push")


def _install(connection: Connection, track: str) -> None:
    for path in _objects(track):
        connection.execute(path.read_bytes())


def _objects(track: str) -> list[Path]:
    """The files of sql/<track>, in the order of its install.sql."""
    root = folder("sql") / track
    return [root / name for name in re.findall(r"^\\ir (\S+)$", (root / "install.sql").read_text(), re.MULTILINE)]


def definition(name: str | None = None) -> str:
    """The present definition of an object, or of all in the order in which they can be made."""
    files = _objects(TRACK)
    chosen = [path for path in files if name in (None, path.stem)]
    if not chosen:
        near = get_close_matches(name or "", [path.stem for path in files])
        raise Refusal(f"There is no {name}." + (f" Did you mean {', '.join(near)}?" if near else ""))
    return "\n".join(path.read_text() for path in chosen)


def surface(connection: Connection, ours: Sequence[str] | None = None) -> list[str]:
    """Everything that this database exposes of credits-db, one line a fact; `ours` names its objects in public."""
    query = (Path(__file__).parent / "surface.sql").read_bytes()
    with connection.transaction():
        connection.execute("select set_config('search_path', '', true)")
        return [row[0] for row in connection.execute(query, {"ours": None if ours is None else list(ours)})]


def verify(connection: Connection) -> list[str]:
    """How the database differs from what ships, as lines that begin with - (missing) or + (not ours)."""
    expected = (folder("sql") / TRACK / "surface.txt").read_text().splitlines()
    ours = sorted(
        set(re.findall(r"^(?:table|function|type|view|sequence) public\.(\w+)", "\n".join(expected), re.MULTILINE))
    )
    if pending(connection):
        raise Refusal("The database does not have all migrations: push first.")
    actual = surface(connection, ours)
    gone = [f"- {line}" for line in expected if line not in set(actual)]
    # a computed field is one function for each type, and the host may have its own of the same name
    fields = set(re.findall(r"^function public\.(\w+)\(\w+ public\.\w+\) ", "\n".join(expected), re.MULTILINE))
    theirs = re.compile(rf".*function public\.({'|'.join(fields)})\(")
    return gone + [f"+ {line}" for line in actual if line not in set(expected) and not theirs.match(line)]


def new(name: str) -> Path:
    """Write the next migration: the changed replaceable files of sql/ verbatim, a stop line for the rest.

    Only in a checkout. Raises Refusal for a bad name, or when nothing changed.
    """
    root = folder("migrations") / TRACK
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise Refusal("A migration is named in lowercase words with underscores, for instance cap_daily_spend.")
    if not (folder("sql").parent / "pyproject.toml").is_file():
        raise Refusal("Migrations are written in a checkout of credits-db, not in an installed package.")
    past = sorted(root.glob("*.sql"))
    texts = [path.read_text() for path in past]
    parts = []
    for path in _objects(TRACK):
        label, text = path.relative_to(folder("sql").parent).as_posix(), path.read_text().rstrip()
        newest = next((old for old in reversed(texts) if f"-- from {label}\n" in old), "")
        if f"-- from {label}\n{text}\n-- end\n" in newest:
            continue
        was = newest.partition(f"-- from {label}\n")[2].partition("\n-- end\n")[0]
        if re.findall(_SIGNATURE, was) != re.findall(_SIGNATURE, text) and was:
            parts.append(f"do $$ begin raise exception 'drop what {label} was, by hand'; end $$;\n")
        if "create or replace" in text or not newest:
            parts.append(f"-- from {label}\n{text}\n-- end\n")
        else:
            stop = f"do $$ begin raise exception 'write the change of {label} by hand'; end $$;"
            parts.append(f"-- {label} changed, and cannot be replaced as a whole\n{stop}\n")
    if not parts:
        raise Refusal("Nothing in sql/ differs from the migrations.")
    target = root / f"{len(past) + 1:04}_{name}.sql"
    header = f"-- {name.replace('_', ' ')}: say here why.\n--\n-- depends: {past[-1].stem}\n\n"
    check = "-- check: what must hold now\ndo $$ begin raise exception 'write the check'; end $$;\n"
    target.write_text(header + "\n".join([*parts, check]))
    return target


@contextmanager
def connect(dsn: str) -> Iterator[Connection]:
    """A connection for push, status and verify: autocommit, no prepared statements, so right through a pooler."""
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None, connect_timeout=10) as connection:
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # the history must be read as it is now
        yield connection
