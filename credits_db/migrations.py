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
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential
from yoyo.migrations import read_migrations, read_sql_migration, topological_sort

Connection: TypeAlias = psycopg.Connection[Any]

TRACKS = ("credits", "app")  # the core, and the app that is its worked example: push --with app
PUSH_TIMEOUT = "5s"  # how long a push waits for another one
LOCK_TIMEOUT = "1s"  # and for a lock: whoever waits for one on auth.users stops every sign-up behind it
BATCH = 1000  # users whose accounts are opened in one transaction
# what exists already is filled in by batches before these, so that nobody waits for all of it
_BATCHES = {"0003_open_existing_accounts": "open_accounts", "app_0003_validate": "write_profiles"}
_EXPORTED = re.compile(r"([0-9]{14})_(.+)\.sql")  # as the Supabase CLI names its own
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
    def track(self) -> str:
        return self.path.parent.name

    @property
    def statements(self) -> list[str]:
        return _split(self.path, self.sha256)


@dataclass(frozen=True, slots=True)
class Step:
    """What push does with something that the database has already.

    `adopt` takes it over, `leave` lets it be and says what that means, `refuse` names what is in the way; `remedy` is
    what to do about it, as SQL where there is some.
    """

    action: str
    object: str
    text: str
    remedy: str | None
    ahead: str | None = field(repr=False)  # statements to run one by one, outside of a transaction
    before: str | None = field(repr=False)  # and around the first migration of the track
    after: str | None = field(repr=False)


def folder(name: str) -> Path:
    """`sql` or `migrations`: inside an installed package, beside it in a checkout."""
    packaged = Path(__file__).parent / name
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / name


def shipped(tracks: Sequence[str] = TRACKS[:1]) -> list[Migration]:
    """The migrations of these tracks in order, each checked against SHA256SUMS."""
    files = sorted(folder("migrations").rglob("*"))
    stamp = tuple((path, path.stat().st_mtime_ns) for path in files if path.is_file())
    return [migration for migration in _read(folder("migrations"), stamp) if migration.track in tracks]


@lru_cache(maxsize=1)
def _read(root: Path, stamp: object) -> list[Migration]:
    """All of them. Kept until a file changes: yoyo takes a while to read them."""
    lines = (line.partition("  ") for line in (root / "SHA256SUMS").read_text().splitlines())
    sums = {name: sha256 for sha256, _, name in lines}
    found = []
    for migration in topological_sort(read_migrations(*(str(root / track) for track in TRACKS))):
        path = Path(migration.path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if sums.get(f"{path.parent.name}/{path.name}") != sha256:
            raise Refusal(
                f"{path} is not the file that SHA256SUMS names. Install credits-db again; "
                "if you are writing this migration, run `make generate`."
            )
        found.append(Migration(migration.id, path, sha256))
    return sorted(found, key=lambda migration: TRACKS.index(migration.track))


@lru_cache
def _split(path: Path, sha256: str) -> list[str]:
    """The statements of a migration. Kept, because finding their ends takes longer than running them."""
    directives, _, statements = read_sql_migration(str(path))
    if directives.get("transactional", "true") != "true":
        raise Refusal(f"{path}: only transactional migrations can be pushed.")
    return list(statements)


def history(connection: Connection) -> dict[str, str]:
    """What the database has: the SHA-256 of each applied migration by its id, in the order of applying."""
    # not to_regclass, which after the wait for another push may still answer from a cache filled before it
    query = "select from pg_catalog.pg_tables where schemaname = 'credits_private' and tablename = 'migrations'"
    if connection.execute(query).fetchone() is None:
        return {}
    rows = connection.execute("select id, sha256 from credits_private.migrations order by applied_at, id")
    return dict(rows.fetchall())


def tracks(connection: Connection, more: Sequence[str] = ()) -> list[str]:
    """The tracks that a database has, which later pushes go on with, and those that it is to get."""
    if unknown := [track for track in more if track not in TRACKS]:
        raise Refusal(f"There is no track {', '.join(unknown)}. There are {' and '.join(TRACKS)}.")
    app = [migration.id for migration in shipped(TRACKS[1:])]
    return [*TRACKS[:1], *(TRACKS[1:] if TRACKS[1] in more or history(connection).keys() & set(app) else ())]


def pending(connection: Connection, more: Sequence[str] = ()) -> list[Migration]:
    """What push would apply, with the tracks in `more`. Raises Refusal when history and files do not fit together."""
    files, applied = shipped(tracks(connection, more)), history(connection)
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
    place = {migration.id: number for number, migration in enumerate(files)}
    late = [m.id for m in todo if any(known[id].track == m.track and place[id] > place[m.id] for id in applied)]
    if late:
        raise Refusal(
            f"{', '.join(late)} comes before a migration that the database already has. "
            "Give it a number after the newest one."
        )
    return todo


def require_all(connection: Connection) -> None:
    """Refuse a database that lacks a migration of its tracks. One that was pushed by a newer package may go on."""
    applied = history(connection).keys()
    for track in TRACKS:
        ids = {path.stem for path in (folder("migrations") / track).glob("*.sql")}
        if ids - applied and (track == TRACKS[0] or ids & applied):
            raise Refusal("The database does not have all migrations: push first.")


def plan(connection: Connection, more: Sequence[str] = ()) -> list[Step]:
    """What a push, with the tracks in `more`, would do with what the database has already. Changes nothing."""
    todo = {migration.track for migration in pending(connection, more)}
    with connection.transaction(force_rollback=True):
        _prepare(connection)
        applied = history(connection)
        fresh = [t for t in TRACKS if t in todo and not applied.keys() & {m.id for m in shipped([t])}]
        return [step for track in fresh for step in _plan(connection, track)]


def _plan(connection: Connection, track: str) -> list[Step]:
    """The steps before the first migration of a track. Within a transaction, for which it makes a function."""
    connection.execute(_text("adopt.sql").encode())
    query = "select p.* from pg_temp.credits_plan(%s, %s) as p"
    steps = [Step(*row) for row in connection.execute(query, [track, _names(track)])]
    connection.execute("drop function pg_temp.credits_plan")
    if blocked := [step for step in steps if step.action == "refuse"]:
        return blocked
    return steps


def _names(track: str) -> list[str]:
    """What a track makes in public. Not computed fields: those are a function for each type, and hosts have theirs."""
    made = re.compile(
        r"^create (?:or replace )?(?:table(?: if not exists)?|view|type|function) public\.(\w+)(\(\w+ public)?",
        re.MULTILINE,
    )
    found = [match for migration in shipped([track]) for match in made.findall(migration.path.read_text())]
    return sorted({name for name, field in found if not field})


def push(
    connection: Connection,
    *,
    more: Sequence[str] = (),
    to: str | None = None,
    dry_run: bool = False,
    confirm: Callable[[str], bool] = lambda _: True,
    report: Callable[[Migration], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda opened, users: None,
) -> list[Migration]:
    """Apply what is pending, up to the id `to`, and return it. The connection must be in autocommit mode.

    `more` names tracks that the database is to have beside the core: `app`; later pushes remember it.
    `confirm` is asked before tables of the host are taken over and before existing users get credits, `progress` is
    told how many of how many have their account, or profile.
    A dry run does everything but opening accounts, and rolls it back. Raises Refusal, or psycopg errors with file and
    line in a note.
    """
    todo, done = pending(connection, more), []
    if to is not None:
        ids = [migration.id for migration in shipped(tracks(connection, more))]
        if to not in ids:
            raise Refusal(f"There is no migration {to}. There are {', '.join(ids)}.")
        todo = [migration for migration in todo if ids.index(migration.id) <= ids.index(to)]
    steps = (
        plan(connection, [track for track in more if track in {migration.track for migration in todo}]) if todo else []
    )
    if blocked := [step for step in steps if step.action == "refuse"]:
        lines = (f"  {step.object}: {step.text}\n    {step.remedy}" for step in blocked)
        raise Refusal("Nothing was changed. This is in the way:\n" + "\n".join(lines))
    taken = [f"  {step.action} {step.object}: {step.text}" for step in steps]
    if taken and not confirm("What is here already:\n" + "\n".join(taken)):
        raise Refusal("Nothing was changed. `credits-db push --plan` shows all of it.")
    for statement in ";".join(step.ahead for step in steps if step.ahead and not dry_run).split(";"):
        if statement.strip():
            connection.execute(statement.encode())
    with ExitStack() as stack:
        if dry_run:
            stack.enter_context(connection.transaction(force_rollback=True))
        if todo:
            _prepare(connection)
        # a dry run keeps its locks to the end: it opens no accounts and does not try twice
        apply = _apply.retry_with(stop=stop_after_attempt(1)) if dry_run else _apply
        for migration in todo:
            users = 0
            if function := _BATCHES.get(migration.id):
                users = _welcome(connection, confirm) if migration.track == TRACKS[0] else _count(connection)
            if function and users and not dry_run:
                _in_batches(connection, function, users, progress)
            if (users and dry_run) or apply(connection, migration):
                report(migration)
                done.append(migration)
    return done


def schedule_maintenance(connection: Connection) -> str | None:
    """Let pg_cron run the maintenance, where the database has both. A sentence when there is something to say."""
    query = "select to_regprocedure('credits_private.schedule_maintenance()') is not null"
    if connection.execute(query).fetchone() != (True,):
        return None
    row = connection.execute("select credits_private.schedule_maintenance()").fetchone()
    return row[0] if row else None


def _limit(connection: Connection, lock_timeout: str) -> None:
    connection.execute("select set_config('lock_timeout', %s, true)", [lock_timeout])


def _lock(connection: Connection) -> None:
    _limit(connection, PUSH_TIMEOUT)
    connection.execute("select pg_advisory_xact_lock(hashtextextended('credits_private.migrations', 0))")
    _limit(connection, LOCK_TIMEOUT)


_patiently = retry(
    retry=retry_if_exception_type(psycopg.errors.LockNotAvailable),
    wait=wait_random_exponential(max=5),
    stop=stop_after_attempt(10),
    reraise=True,
)


@_patiently
def _apply(connection: Connection, migration: Migration) -> bool:
    with connection.transaction():
        _lock(connection)
        if migration.id in history(connection):
            return False
        connection.execute("select set_config('search_path', '', true)")
        steps = _plan(connection, migration.track) if migration.id == shipped([migration.track])[0].id else []
        if any(step.action == "refuse" for step in steps):
            raise Refusal("Something has come into the way. `credits-db push --plan` shows it.")
        for statements in filter(None, (step.before for step in steps)):
            connection.execute(statements.encode())
        _run(connection, migration)
        for statements in filter(None, (step.after for step in steps)):
            connection.execute(statements.encode())
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


def _welcome(connection: Connection, confirm: Callable[[str], bool]) -> int:
    """How many existing users have no account yet; asks before they get credits."""
    row = connection.execute("select credits_private.count_unopened()").fetchone()
    users, rewarded, bonus = (int(row[0][key]) if row else 0 for key in ("users", "rewarded", "bonus"))
    gift = f"{rewarded} existing users get {bonus} credits each as their signup bonus, {rewarded * bonus} in all."
    if rewarded and bonus and not confirm(gift):
        raise Refusal(
            "Stopped before 0003_open_existing_accounts; all before it is in place. To give another amount: "
            "credits-db settings set signup_bonus N, then push again."
        )
    return users


def _count(connection: Connection) -> int:
    row = connection.execute("select count(*) from auth.users").fetchone()
    return int(row[0]) if row else 0


def _in_batches(connection: Connection, function: str, users: int, progress: Callable[[int, int], None]) -> None:
    """Call a function of credits_private that takes the id to go on from and how many, and returns the next such id."""
    opened, last = 0, _batch(connection, function, UUID(int=0))
    while last:
        opened += BATCH
        progress(min(opened, users), users)
        last = _batch(connection, function, last)
    if opened:  # the last batch; and some opened theirs themselves, by a spend
        progress(users, users)


@_patiently
def _batch(connection: Connection, function: str, start: UUID) -> UUID | None:
    with connection.transaction():
        _limit(connection, LOCK_TIMEOUT)
        row = connection.execute(f"select credits_private.{function}(%s, %s)".encode(), [start, BATCH]).fetchone()
        return row[0] if row else None


@_patiently
def _prepare(connection: Connection) -> None:
    """Give plain Postgres the roles and the schema auth of Supabase, and refuse a database that cannot have credits."""
    with connection.transaction():
        _lock(connection)
        if connection.execute("select from pg_catalog.pg_namespace where nspname = 'auth'").fetchone() is None:
            for path in _objects("plain"):
                connection.execute(path.read_bytes())
        try:
            connection.execute(_preflight("", ()).encode())
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            raise Refusal(error.diag.message_primary) from error


def _preflight(id: str, names: Sequence[str]) -> str:
    return _text("preflight.sql").replace("<id>", id).replace("<names>", ", ".join(names))


def _text(name: str) -> str:
    return (Path(__file__).parent / name).read_text()


def _objects(track: str) -> list[Path]:
    """The files of sql/<track>, in the order of its install.sql."""
    root = folder("sql") / track
    return [root / name for name in re.findall(r"^\\ir (\S+)$", (root / "install.sql").read_text(), re.MULTILINE)]


def definition(name: str | None = None) -> str:
    """The present definition of an object, or of all in the order in which they can be made."""
    files = [path for track in TRACKS for path in _objects(track)]
    chosen = [path for path in files if name in (None, path.stem)]
    if not chosen:
        near = get_close_matches(name or "", [path.stem for path in files])
        raise Refusal(f"There is no {name}." + (f" Did you mean {', '.join(near)}?" if near else ""))
    return "\n".join(path.read_text() for path in chosen)


def surface(connection: Connection, ours: Sequence[str] | None = None) -> list[str]:
    """Everything that this database exposes of credits-db, one line a fact; `ours` names its objects in public."""
    query = _text("surface.sql").encode()
    with connection.transaction():
        connection.execute("select set_config('search_path', '', true)")
        return [row[0] for row in connection.execute(query, {"ours": None if ours is None else list(ours)})]


def verify(connection: Connection) -> list[str]:
    """How the database differs from what ships, as lines that begin with - (missing) or + (not ours).

    What was adopted is the host's: more in it than ours is no drift, and of ours there must be columns of the right
    names and the triggers that it cannot have of its own.
    """
    pending(connection)  # refuses what does not fit
    require_all(connection)
    expected = [
        line
        for track in tracks(connection)
        for line in (folder("sql") / track / "surface.txt").read_text().splitlines()
    ]
    ours = sorted(
        set(re.findall(r"^(?:table|function|type|view|sequence) public\.(\w+)", "\n".join(expected), re.MULTILINE))
    )
    actual = surface(connection, ours)
    rows = connection.execute("select r.relation from credits_private.adopted_relations as r").fetchall()
    adopted = {relation for (relation,) in rows}
    has = {_essence(line, adopted) for line in actual}
    gone = [f"- {line}" for line in expected if (essence := _essence(line, adopted)) and essence not in has]
    # a computed field is one function for each type, and the host may have its own of the same name
    fields = set(re.findall(r"^function public\.(\w+)\(\w+ public\.\w+\) ", "\n".join(expected), re.MULTILINE))
    theirs = re.compile(rf".*function public\.({'|'.join(fields)})\(")
    more = [line for line in actual if _relation(line) not in adopted and line not in set(expected)]
    return gone + [f"+ {line}" for line in more if not theirs.match(line)]


def _relation(line: str) -> str | None:
    """The relation that a line of the surface is about."""
    found = re.match(r"(?!function|grant execute|type|grant usage).*?\b((?:public|auth|credits_private)\.\w+)", line)
    return found[1] if found else None


def _essence(line: str, adopted: Collection[str]) -> str | None:
    """What must be there of a line of the surface: the line; of an adopted relation less of it, or nothing."""
    relation, (kind, *words) = _relation(line), line.split()
    if relation == "auth.users" and kind == "trigger" and "public.profiles" in adopted:
        return None if "write_profile" in words else line  # the host may make them
    if relation not in adopted:
        return line
    if kind == "column" and relation != "public.users":  # where the host has its own there is no view
        return f"{kind} {words[0]}"
    return line if kind == "trigger" and "touch" not in words else None


def new(name: str, track: str = TRACKS[0]) -> Path:
    """Write the next migration of a track: the changed replaceable files of sql/ verbatim, a stop line for the rest.

    Only in a checkout. Raises Refusal for a bad name, or when nothing changed.
    """
    root = folder("migrations") / track
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise Refusal("A migration is named in lowercase words with underscores, for instance cap_daily_spend.")
    if not (folder("sql").parent / "pyproject.toml").is_file():
        raise Refusal("Migrations are written in a checkout of credits-db, not in an installed package.")
    past = sorted(root.glob("*.sql"))
    texts = [path.read_text() for path in past]
    parts = []
    for path in _objects(track):
        label, text = path.relative_to(folder("sql").parent).as_posix(), path.read_text().rstrip()
        newest = next((old for old in reversed(texts) if f"-- from {label}\n" in old), "")
        mark = f"-- by hand: {label} {hashlib.sha256(text.encode()).hexdigest()[:16]}\n"
        if f"-- from {label}\n{text}\n-- end\n" in newest or any(mark in old for old in texts):
            continue
        was = newest.partition(f"-- from {label}\n")[2].partition("\n-- end\n")[0]
        if re.findall(_SIGNATURE, was) != re.findall(_SIGNATURE, text) and was:
            parts.append(f"do $$ begin raise exception 'drop what {label} was, by hand'; end $$;\n")
        if "create or replace" in text or not newest:
            parts.append(f"-- from {label}\n{text}\n-- end\n")
        else:
            stop = f"do $$ begin raise exception 'write the change of {label} here'; end $$;"
            parts.append(f"{mark}{stop}\n")
    if not parts:
        raise Refusal("Nothing in sql/ differs from the migrations.")
    prefix = "" if track == TRACKS[0] else f"{track}_"
    target = root / f"{prefix}{len(past) + 1:04}_{name}.sql"
    header = f"-- {name.replace('_', ' ')}: say here why.\n--\n-- depends: {past[-1].stem}\n\n"
    check = "-- check: what must hold now\ndo $$ begin raise exception 'write the check'; end $$;\n"
    target.write_text(header + "\n".join([*parts, check]))
    return target


def export(directory: Path, more: Sequence[str] = ()) -> list[Path]:
    """Write the migrations that the folder lacks as files for `supabase db push`, and return those.

    A file keeps its name for ever; a new one comes after all that are there, so that every database gets them in the
    order in which they were written. A folder that has files of the track app gets its new ones, too. Raises Refusal,
    and writes nothing, when a file was edited or has gone.
    """
    try:
        return _export(directory, more)
    except (OSError, UnicodeError) as error:
        raise Refusal(f"{directory} cannot be written, or holds what is no migration: {error}") from error


def _export(directory: Path, more: Sequence[str]) -> list[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    found = [match for path in sorted(directory.iterdir()) if (match := _EXPORTED.fullmatch(path.name))]
    numbers, known = [match[1] for match in found], {match[2]: directory / match[0] for match in found}
    if twice := sorted({number for number in numbers if numbers.count(number) > 1}):
        raise Refusal(f"{directory} has several migrations of {', '.join(twice)}: the Supabase CLI takes only one.")
    newest = max(map(int, numbers), default=0)
    written, new = dict[Path, str](), set[str]()
    has_app = any(name.startswith(f"{TRACKS[0]}_{TRACKS[1]}_") for name in known)
    for migration in shipped(TRACKS if has_app or TRACKS[1] in more else TRACKS[:1]):
        name, text = f"{TRACKS[0]}_{migration.id}", _text("export.sql")
        is_first = migration.id == shipped([migration.track])[0].id
        first = _preflight(migration.id, _names(migration.track)) if is_first else ""
        facts = {"id": migration.id, "sha256": migration.sha256, "preflight": first, "sql": migration.path.read_text()}
        for word, value in facts.items():
            text = text.replace(f"<{word}>", value)
        if not (path := known.get(name)):
            newest = max(newest + 100, 20261121000000 + 100 * int(re.sub(r"\D", "", migration.id)[:4]))
            written[directory / f"{newest}_{name}.sql"] = text
            new.add(migration.track)
        elif migration.track in new:
            raise Refusal(f"{path} is there, but a migration before it is not: put back what was deleted.")
        elif path.read_text() != text:
            raise Refusal(
                f"{path} was edited. An exported migration never changes: put the old text back, "
                "and write a migration of your own."
            )
    for path, text in written.items():
        path.write_text(text, newline="\n")
    return list(written)


@contextmanager
def connect(dsn: str) -> Iterator[Connection]:
    """A connection for push, status and verify: autocommit, no prepared statements, so right through a pooler."""
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None, connect_timeout=10) as connection:
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # the history must be read as it is now
        yield connection
