"""Train in several processes: Lightning's DDP over the GPUs of this machine, or over CPU processes.

Each process is a fresh interpreter (`python -m seqclv.training.ranks`), so that a program that trains needs no guard
around its main part and nothing of it runs twice. Histories lie in files that all processes map. Every step sees the
customers that it would see in one process, each process its share of them, so that checkpoints do not know how many
processes there are: a training killed in two resumes in one.

The first process tells its parent of each epoch in lines of JSON, and leaves the networks when it is done. A process
whose parent dies reads the end of its input and ends at once; when one dies, the others are ended.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
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
from seqclv.training.fit import FitResult, Observer, fit_networks
from seqclv.training.start import starting_point

_WEIGHTS, _CURVES = "networks.safetensors", "curves.json"


def number_of_processes(config: Config) -> int:
    """The processes that `config.devices` asks for: one for each GPU, or on the CPU so many.

    Raises:
        InputError: there are not so many GPUs.
    """
    gpus = torch.cuda.device_count() if config.accelerator != "cpu" and torch.cuda.is_available() else 0
    if config.devices == "auto":
        return max(gpus, 1)
    if gpus and config.devices > gpus:
        raise InputError(
            f"Training may use the GPUs of this machine, {gpus:,}, but devices is {config.devices:,}: "
            "take fewer, or --accelerator cpu."
        )
    return config.devices


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
    """`fit_networks` in as many processes as `number_of_processes` says; with one, in this one.

    Raises:
        InputError: there are not so many GPUs.
        RuntimeError: a process has died; started again, the training resumes.
    """
    number = number_of_processes(config)
    if number == 1:
        return fit_networks(
            history, cutoff, horizon_days=horizon_days, config=config, work=work, quiet=quiet, observer=observer
        )
    place = work / "processes"
    write_events(history, place)
    setting = {"cutoff": cutoff, "horizon_days": horizon_days, "config": asdict(config), "work": str(work)}
    _run(number, {**setting, "quiet": quiet}, observer)
    start = starting_point(history, cutoff, config)
    tensors, told = load_file(place / _WEIGHTS), json.loads((place / _CURVES).read_text())
    networks = []
    for index in range(config.ensemble):
        network = start.network()
        prefix = f"{index}."
        network.load_state_dict({n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)})
        networks.append(network.eval())
    curves = tuple(tuple(curve) for curve in told["curves"])
    return FitResult(start.schema, tuple(networks), curves, told["seconds"], start.name, start.model)


def _run(number: int, setting: Mapping[str, Any], observer: Observer | None) -> None:
    """Run the processes to their end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = [_start(rank, number, port, setting) for rank in range(number)]
    for process in running:
        threading.Thread(target=_end_together, args=(process, running), daemon=True).start()
    try:
        for line in running[0].stdout or ():
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


def _start(rank: int, number: int, port: int, setting: Mapping[str, Any]) -> "subprocess.Popen[str]":
    package = str(Path(seqclv.__file__).parent.parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    team = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": 0, "LOCAL_RANK": rank, "WORLD_SIZE": number}
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **{k: str(v) for k, v in team.items()}}
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    if process.stdin is not None:
        process.stdin.write(json.dumps(setting) + "\n")
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
    first, work = os.environ["LOCAL_RANK"] == "0", Path(setting["work"])

    def tell(network: int, epoch: int, metrics: dict[str, float]) -> None:
        print(json.dumps([network, epoch, metrics]), file=answers, flush=True)

    result = fit_networks(
        read_events(work / "processes"),
        setting["cutoff"],
        horizon_days=setting["horizon_days"],
        config=TypeAdapter(Config).validate_python(setting["config"]),
        work=work,
        quiet=setting["quiet"] or not first,
        observer=tell if first else None,
        processes=int(os.environ["WORLD_SIZE"]),
    )
    if first:
        tensors = {f"{i}.{name}": t for i, net in enumerate(result.networks) for name, t in net.state_dict().items()}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, work / "processes" / _WEIGHTS)
        told = {"curves": result.curves, "seconds": result.seconds}
        (work / "processes" / _CURVES).write_text(json.dumps(told))


def _end_with_parent(stream: IO[str]) -> None:
    stream.read()
    os._exit(1)


if __name__ == "__main__":
    main()
