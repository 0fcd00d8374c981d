"""Servers that tests start themselves; a test that lacks one is skipped with the reason."""

import contextlib
import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

ACCOUNTS = ("postgres", "nobody")  # the server refuses to run as root


def _program(name):
    """The newest installed PostgreSQL's program, or None."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda path: int(Path(path).parts[-3]))
    return found[-1] if found else shutil.which(name)


def _account():
    """The account to drop to: none where the tests do not run as root."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.skip(f"PostgreSQL does not run as root, and there is no account {' or '.join(ACCOUNTS)} to run it as")


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="session")
def postgres_url():
    """The URL of a PostgreSQL that runs while the tests do; its one user is `seqclv` with the password `geheim`."""
    initdb, server = _program("initdb"), _program("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed: scripts/services.sh installs it where one may")
    account = _account()
    user = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    home = Path(tempfile.mkdtemp(prefix="seqclv-postgres-"))  # a short path: a socket's has at most 107 bytes
    try:
        if account is not None:
            os.chown(home, account.pw_uid, account.pw_gid)
        (home / "password").write_text("geheim")
        (home / "password").chmod(0o644)
        options = ["--username=seqclv", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-sync"]
        made = [initdb, "--pgdata", str(home / "data"), f"--pwfile={home / 'password'}", *options]
        subprocess.run(made, check=True, capture_output=True, cwd=home, **user)
        port = _free_port()
        settings = [f"port={port}", f"unix_socket_directories={home}", "fsync=off", "listen_addresses=127.0.0.1"]
        command = [server, "-D", str(home / "data"), *(word for text in settings for word in ("-c", text))]
        with (home / "log").open("wb") as log:
            running = subprocess.Popen(command, stdout=log, stderr=log, cwd=home, **user)
        try:
            _wait_for(port, running, home / "log")
            yield f"postgresql://seqclv:geheim@127.0.0.1:{port}/postgres"
        finally:
            running.terminate()
            running.wait(timeout=30)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait_for(port, running, log):
    import psycopg

    for _ in range(300):
        assert running.poll() is None, log.read_text()
        try:
            psycopg.connect(f"postgresql://seqclv:geheim@127.0.0.1:{port}/postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"PostgreSQL did not start: {log.read_text()}")
