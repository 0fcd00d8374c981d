"""Train in several processes: one network by all of them together, or each networks of its own.

Together is Lightning's DDP, over the GPUs of this machine or over CPU processes: every step sees the customers that it
would see in one process, each process its share of them, so that checkpoints do not know how many processes there are,
and a training killed in two resumes in one. Apart, on a CPU, the networks of an ensemble train at once, each to the
same last bit as it would after the others.

Each process is a fresh interpreter (`python -m seqclv.training.ranks`), so that a program that trains needs no guard
around its main part and nothing of it runs twice. Histories lie in files that all processes map. A process tells its
parent of each epoch in lines of JSON, and leaves its networks when it is done. A process whose parent dies reads the
end of its input and ends at once; when one dies, the others are ended.
"""

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file

import seqclv
from seqclv.config import Config
from seqclv.data.events import Events
from seqclv.data.handover import read_events, write_events
from seqclv.errors import InputError
from seqclv.forecast.engines.local import usable_cores
from seqclv.model.network import Network
from seqclv.model.weights import joined_weights, weights_of
from seqclv.training.fit import FitResult, Observer, Role, fit_networks, fit_result
from seqclv.training.start import LEAST_STEPS, Start, starting_point

_LEFT = "networks-{rank}.safetensors", "networks-{rank}.json"
_WORTHWHILE_STEPS = 200  # fewer are done before a further process has started


@dataclass(frozen=True)
class Crew:
    """Processes that train: all together, or each the networks of its own."""

    number: int
    together: bool

    def role(self, rank: int, ensemble: int) -> Role:
        """What one of them does."""
        return Role(self.number) if self.together else Role(networks=range(rank, ensemble, self.number))


def crew_for(config: Config) -> Crew:
    """The processes that `config.devices` and `config.workers` ask for.

    Raises:
        InputError: there are not so many GPUs.
    """
    gpus = torch.cuda.device_count() if config.accelerator != "cpu" and torch.cuda.is_available() else 0
    devices = max(gpus, 1) if config.devices == "auto" else config.devices
    if gpus and devices > gpus:
        raise InputError(
            f"Training may use the GPUs of this machine, {gpus:,}, but devices is {devices:,}: "
            "take fewer, or --accelerator cpu."
        )
    if gpus or devices > 1:
        return Crew(devices, together=True)
    steps = min(config.training.max_steps or LEAST_STEPS, config.training.tuning_steps)
    automatic = usable_cores() if steps >= _WORTHWHILE_STEPS else 1
    workers = automatic if config.workers == "auto" else config.workers
    return Crew(min(workers, config.ensemble), together=False)


def fit_in_processes(
    history: Events,
    cutoff: int,
    *,
    horizon_days: float,
    config: Config,
    work: Path,
    quiet: bool = False,
    observer: Observer | None = None,
) -> FitResult:
    """`fit_networks` in the processes that `crew_for` says; if it is one, in this one.

    Raises:
        InputError: there are not so many GPUs.
        RuntimeError: a process has died; started again, the training resumes.
    """
    crew = crew_for(config)
    if crew.number == 1:
        return fit_networks(
            history, cutoff, horizon_days=horizon_days, config=config, work=work, quiet=quiet, observer=observer
        )
    started = time.perf_counter()
    place = work / "processes"
    setting = {"cutoff": cutoff, "horizon_days": horizon_days, "config": asdict(config), "work": str(work)}
    start = starting_point(history, cutoff, config)
    found: dict[int, tuple[Network, list[dict[str, float]]]] = {}
    try:
        write_events(history, place)
        _run(crew, {**setting, "together": crew.together, "quiet": quiet}, observer)
        for rank in range(1 if crew.together else crew.number):
            weights, told = (place / name.format(rank=rank) for name in _LEFT)
            curves = json.loads(told.read_text())
            numbers = crew.role(rank, config.ensemble).networks or range(config.ensemble)
            networks = _read_networks(weights, start, len(numbers))
            found |= dict(zip(numbers, zip(networks, curves, strict=True), strict=True))
    finally:
        shutil.rmtree(place, ignore_errors=True)  # it holds customers
    in_order = [found[i] for i in range(config.ensemble)]
    seconds = time.perf_counter() - started
    return fit_result(start, [network for network, _ in in_order], [curve for _, curve in in_order], seconds)


def _read_networks(path: Path, start: Start, number: int) -> list[Network]:
    tensors, networks = load_file(path), []
    for index in range(number):
        network = start.network()
        network.load_state_dict(weights_of(tensors, index))
        networks.append(network.eval())
    return networks


def _run(crew: Crew, setting: Mapping[str, Any], observer: Observer | None) -> None:
    """Run the processes to their end; what they tell is passed on in this thread."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = [_start(rank, crew, port, setting) for rank in range(crew.number)]
    told: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    for process in running:
        threading.Thread(target=_end_together, args=(process, running), daemon=True).start()
        threading.Thread(target=_pass_on, args=(process, told), daemon=True).start()
    try:
        for _ in running:
            while (line := told.get()) is not None:
                if observer is not None:
                    observer(*json.loads(line))
        failed = [code for process in running if (code := process.wait())]
        if failed:
            raise RuntimeError(
                "a training process has ended before its work was done, for want of memory perhaps; started again, "
                "the training goes on from its last epoch"
            )
    finally:
        for process in running:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()


def _pass_on(process: "subprocess.Popen[str]", told: "queue.SimpleQueue[str | None]") -> None:
    """Lines of a process, then None."""
    try:
        for line in process.stdout or ():
            told.put(line)
    except ValueError:  # the parent has given up and closed the pipe
        pass
    finally:
        told.put(None)


def _start(rank: int, crew: Crew, port: int, setting: Mapping[str, Any]) -> "subprocess.Popen[str]":
    package = str(Path(seqclv.__file__).parent.parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    if crew.together:
        team = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": 0, "LOCAL_RANK": rank}
        environment |= {k: str(v) for k, v in {**team, "WORLD_SIZE": crew.number}.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    if process.stdin is not None:
        process.stdin.write(json.dumps({**setting, "rank": rank, "number": crew.number}) + "\n")
        process.stdin.flush()
    return process


def _end_together(process: "subprocess.Popen[str]", team: list["subprocess.Popen[str]"]) -> None:
    if process.wait():
        for other in team:
            other.kill()


def main() -> None:
    """One of the processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt of the terminal is the parent's to handle
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    setting = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, args=(sys.stdin,), daemon=True).start()
    rank, crew, work = setting["rank"], Crew(setting["number"], setting["together"]), Path(setting["work"])
    config = TypeAdapter(Config).validate_python(setting["config"])
    speaks = rank == 0 or not crew.together

    def tell(network: int, epoch: int, metrics: dict[str, float]) -> None:
        print(json.dumps([network, epoch, metrics]), file=answers, flush=True)

    result = fit_networks(
        read_events(work / "processes"),
        setting["cutoff"],
        horizon_days=setting["horizon_days"],
        config=config,
        work=work,
        quiet=setting["quiet"] or not speaks,
        observer=tell if speaks else None,
        role=crew.role(rank, config.ensemble),
    )
    if speaks:
        weights, told = (work / "processes" / name.format(rank=rank) for name in _LEFT)
        save_file(joined_weights(result.networks), weights)
        told.write_text(json.dumps(result.curves))


def _end_with_parent(stream: IO[str]) -> None:
    stream.read()
    os._exit(1)


if __name__ == "__main__":
    main()
