"""Ctrl-C ends a command with status 130 and one sentence, and leaves nothing half done."""

import gc
import os
import signal
import subprocess
import sys
import time

import pytest

from seqclv.commands.console import Console
from seqclv.commands.interrupts import interrupts


class Swallower:
    """Python drops what is raised while an object goes, as inside a compiled library's callback."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)  # in which the handler runs


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_a_library_swallows_is_raised_where_the_work_reports(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    with interrupts() as check:
        console = Console(quiet=True, check=check)
        console.say("before")
        gone = Swallower()
        del gone
        gc.collect()
        with pytest.raises(KeyboardInterrupt):
            console.say("after")
        with console.customers(10) as advance, pytest.raises(KeyboardInterrupt):
            advance(1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_interrupt_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts() as check:
            os.kill(os.getpid(), signal.SIGINT)
            check()
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("command", ["prepare", "score"])
def test_an_interrupt_ends_a_command_with_one_sentence_and_leaves_nothing(command, tmp_path):
    log = tmp_path / "log.parquet"
    made = [sys.executable, "-m", "seqclv", "simulate", "--customers", "40000", "--out", log, "--quiet"]
    subprocess.run(made, check=True, capture_output=True)
    (tmp_path / "out").mkdir()
    words = {
        "prepare": ["--out", tmp_path / "out/store"],
        "score": ["--model", "prior", "--cutoff", "2022-01-01", "--out", tmp_path / "out/f.parquet", "--workers", "1"],
    }[command]
    started = [sys.executable, "-m", "seqclv", command, "--transactions", log, *words, "--quiet"]
    process = subprocess.Popen(started, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while process.poll() is None and not any((tmp_path / "out").iterdir()):
        time.sleep(0.01)
    time.sleep(0.1)  # in the midst of it
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)  # a shell shows 130 for both
    assert errors == f"seqclv {command}: interrupted.\n"
    assert not list((tmp_path / "out").iterdir())
