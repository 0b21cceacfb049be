"""What a user installs: the wheel holds the SQL, and pushes from anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, Database

from credits_db import migrations


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", target],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(target.glob("*.whl"))


def test_the_wheel_holds_the_package_and_all_of_the_sql(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    tracked = [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]
    expected = {path.as_posix() for path in tracked if path.parts[0] == "credits_db"}
    expected |= {f"credits_db/{path.as_posix()}" for path in tracked if path.parts[0] in ("sql", "migrations")}
    assert len(expected) > 60
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_an_installed_wheel_pushes_and_verifies_from_any_folder(wheel: Path, empty: Database, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    zipfile.ZipFile(wheel).extractall(site)
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site), "DATABASE_URL": empty.dsn()}

    def run(*command: str) -> str:
        return subprocess.check_output([sys.executable, *command], cwd=elsewhere, env=environment, text=True)

    assert run("-c", "import credits_db; print(credits_db.__file__)").startswith(str(site))
    assert f"{len(migrations.shipped())} applied." in run("-m", "credits_db.cli", "push")
    assert "is what credits-db ships" in run("-m", "credits_db.cli", "verify")
    assert "consume_credit_for" in run("-m", "credits_db.cli", "sql", "consume_credit_for")
