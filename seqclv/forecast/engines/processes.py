"""Score parts in several processes: one for each core, each with one thread of torch.

A worker is a fresh interpreter (`python -m seqclv.forecast.engines.processes`), so that a program that scores needs no
guard around its main part, and nothing of the parent is inherited, its lock least of all. Parent and worker speak in
lines of JSON: the setting, then part after part, each answered when its file is written. A worker whose parent dies
reads the end of its input and ends at once.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import seqclv
from seqclv.bundle import load_bundle
from seqclv.data.store import open_store
from seqclv.errors import InputError
from seqclv.forecast.chunks import Part
from seqclv.forecast.forecaster import on_device
from seqclv.forecast.parts import Job, score_part

_REPLACED = "replaced"  # a worker's answer where the store is not the one that the scoring began with


@contextmanager
def workers(
    number: int, bundle_directory: Path, store: Path, job: Job, directory: Path
) -> Iterator[Callable[[Part], Part]]:
    """Start worker processes; yields the function that scores a part in the next one that is free.

    The function may be called from `number` threads at once. It raises RuntimeError where a worker has died, and
    InputError where the store has been replaced by one of other content.
    """
    setting = {"bundle": str(bundle_directory), "store": str(store), "job": asdict(job), "directory": str(directory)}
    running = [_start(setting) for _ in range(number)]
    idle: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()
    for process in running:
        idle.put(process)

    def score(part: Part) -> Part:
        process = idle.get()
        try:
            _ask(process, part)
        finally:
            idle.put(process)
        return part

    try:
        yield score
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(OSError):  # what the dead process did not read is lost with it
                        stream.close()


def _start(setting: dict[str, Any]) -> "subprocess.Popen[str]":
    package = str(Path(seqclv.__file__).parent.parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", __name__]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    _send(process, setting)
    return process


def _send(process: "subprocess.Popen[str]", message: dict[str, Any]) -> None:
    stream = process.stdin
    if stream is not None:
        stream.write(json.dumps(message) + "\n")
        stream.flush()


def _ask(process: "subprocess.Popen[str]", part: Part) -> None:
    try:
        _send(process, asdict(part))
        answer = process.stdout.readline() if process.stdout else ""
    except OSError:
        answer = ""
    if answer == f"{_REPLACED}\n":
        raise InputError(
            "A store must not change until every scoring process has opened it, but it was replaced meanwhile: "
            "start again."
        )
    if answer != f"{part.index}\n":
        raise RuntimeError(
            "a scoring process has ended before its work was done, for want of memory perhaps; finished parts are "
            "kept, so start again, with fewer --workers if need be"
        )


def main() -> None:
    """The worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt of the terminal is the parent's to handle
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    import torch

    torch.set_num_threads(1)
    setting = json.loads(sys.stdin.readline() or "null")
    if setting is None:
        return
    job = Job(**{**setting["job"], "horizons_days": tuple(setting["job"]["horizons_days"])})
    asked: queue.SimpleQueue[Part] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, asked), daemon=True).start()
    bundle, store = on_device(load_bundle(Path(setting["bundle"])), job.device), open_store(setting["store"])
    while True:
        part = asked.get()
        same = store.fingerprint == job.log
        if same:
            score_part(bundle, store, job, part, Path(setting["directory"]))
        print(part.index if same else _REPLACED, file=answers, flush=True)


def _listen(stream: IO[str], asked: "queue.SimpleQueue[Part]") -> None:
    for line in stream:
        asked.put(Part(**json.loads(line)))
    os._exit(0)  # the parent is gone: what is half done must not be finished beside its successor


if __name__ == "__main__":
    main()
