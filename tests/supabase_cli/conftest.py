"""The real Supabase CLI, from npm, on a hosted project as tests/supabase.sql imitates it: no Docker, no network.

Every test here that takes a database runs on both kinds of project, with and without auto-exposed objects.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from conftest import HERE, Database

NPM = HERE / "npm"
CLI = NPM / "node_modules" / "@supabase" / "cli-linux-x64" / "bin" / "supabase"
SILENCE = {"DO_NOT_TRACK": "1", "SUPABASE_NO_UPDATE_NOTIFIER": "1", "SUPABASE_TELEMETRY_DISABLED": "1"}
Supabase: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", params=("supabase", "supabase_closed"))
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def supabase(tmp_path_factory: pytest.TempPathFactory) -> Supabase:
    """supabase(database, "db", "push", "--yes", cwd=...) is that command as the owner of the database."""
    if not CLI.exists():
        raise FileNotFoundError(f"{CLI} is missing: make .venv/npm")
    home = tmp_path_factory.mktemp("supabase")
    env = {**SILENCE, "HOME": str(home), "SUPABASE_HOME": str(home), "PATH": os.defpath}

    def run(database: Database, *arguments: str, cwd: Path = home) -> subprocess.CompletedProcess[str]:
        # The CLI takes no URL without a host, connects to the one after the ?, and wants to be told that TLS is off.
        remote = database.dsn().replace("@/", "@localhost/") + "&sslmode=disable"
        command = [str(CLI), *arguments, f"--remote={remote}"]
        return subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    return run
