"""Servers that tests start themselves."""

import contextlib
import glob
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

PASSWORD = "geheim"  # tests look for it where it must not appear
SECONDS = 60  # that a server may need to start


def postgres_binaries():
    """The directory of initdb and postgres, or None."""
    for directory in [*sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True), *os.get_exec_path()]:
        if (Path(directory) / "initdb").is_file() and (Path(directory) / "postgres").is_file():
            return Path(directory)
    return None


def ordinary_user():
    """PostgreSQL refuses to run as root: the user to run it as then, else None."""
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return None


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL of its own, on a port of its own, behind a password."""

    port: int
    password: str
    pid: int

    @property
    def url(self):
        return f"postgresql://tester:{self.password}@127.0.0.1:{self.port}/postgres"


@contextlib.contextmanager
def postgres_server():
    """Start a server in a temporary directory; it and the directory go at the end."""
    binaries, user = postgres_binaries(), ordinary_user()
    if binaries is None or shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL is not installed: scripts/services.sh installs it")
    root = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # short: the path of a socket has at most 107 bytes
    password = PASSWORD
    (root / "password").write_text(password)
    prefix = []
    if user is not None:
        os.chown(root, user.pw_uid, user.pw_gid)
        os.chown(root / "password", user.pw_uid, user.pw_gid)
        prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = ["-D", str(root / "data")]
    options = ["-U", "tester", "-A", "scram-sha-256", f"--pwfile={root / 'password'}", "-E", "UTF8", "--no-sync"]
    subprocess.run([*prefix, binaries / "initdb", *data, *options], check=True, capture_output=True, cwd=root)
    settings = ["-p", str(port), "-h", "127.0.0.1", "-k", str(root), "-c", "fsync=off"]
    with (root / "log").open("wb") as log:
        process = subprocess.Popen([*prefix, binaries / "postgres", *data, *settings], stdout=log, stderr=log, cwd=root)
    try:
        wait_for(port, process, root / "log")
        yield PostgresServer(port, password, process.pid)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(root, ignore_errors=True)


def wait_for(port, process, log):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        if "ready to accept connections" in log.read_text(errors="replace"):
            return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL has not started on port {port}:\n{log.read_text(errors='replace')}")


@pytest.fixture(scope="session")
def postgres_server_url():
    """The URL of the server's first database, with its password."""
    with postgres_server() as server:
        yield server.url


@pytest.fixture
def postgres_url(postgres_server_url):
    """The URL of an empty database, dropped afterwards."""
    import psycopg

    name = f"t{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"{postgres_server_url.rpartition('/')[0]}/{name}"
    with psycopg.connect(postgres_server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def spark():
    """One Spark on this machine, two cores, each task tried up to four times."""
    if shutil.which("java") is None:
        pytest.skip("Java is not installed: scripts/services.sh installs it")
    sql = pytest.importorskip("pyspark.sql")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "3",
        "spark.sql.adaptive.coalescePartitions.enabled": "false",
        "spark.log.level": "ERROR",
    }
    builder = sql.SparkSession.builder.master("local[2,4]").appName("tests")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()
