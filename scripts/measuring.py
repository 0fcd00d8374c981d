"""Measure a command: its seconds, and the largest memory that it and its processes held at once."""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE_SECONDS = 0.1


@dataclass
class Measured:
    """One step: its seconds, run by run, and the largest memory it held at once, processes together, in MiB."""

    seconds: list[float] = field(default_factory=list)
    memory: float = 0.0

    @property
    def best(self) -> float:
        """The shortest time."""
        return min(self.seconds)


def measure(command: Sequence[str], into: Measured) -> None:
    """Run a command to its end.

    Raises:
        SystemExit: it fails; its words are on standard error.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        watcher = threading.Thread(target=_watch, args=(process, into))
        watcher.start()
        process.wait()
        into.seconds.append(time.monotonic() - start)
        watcher.join()
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"benchmark: {' '.join(command)[:200]} failed:\n{output.read()[-2000:]}")


def _watch(process: "subprocess.Popen[bytes]", into: Measured) -> None:
    while process.poll() is None:
        into.memory = max(into.memory, sum(_private(pid) for pid in _tree(process.pid)))
        time.sleep(SAMPLE_SECONDS)


def _tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:  # it has ended meanwhile
                continue
    return found


def _private(pid: int) -> float:
    """Proportional set size, MiB: shared pages count once over all processes."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)
