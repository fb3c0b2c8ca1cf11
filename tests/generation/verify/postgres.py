"""A PostgreSQL server for tests: Debian's programs in a temporary folder, on a Unix socket, with fsync as usual."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

_PORT = 5432  # names the socket only
_NAMES = count(1)


def programs() -> Path:
    """Return the folder of initdb and postgres; skip the test where there is none."""
    known = [*Path("/usr/lib/postgresql").glob("*/bin"), Path("/usr/bin"), Path("/usr/local/bin")]
    found = [folder for folder in known if (folder / "initdb").is_file() and (folder / "postgres").is_file()]
    if not found:
        pytest.skip("no PostgreSQL: initdb and postgres are not installed (Debian: apt install postgresql)")
    return max(found, key=lambda folder: [int(part) for part in folder.parent.name.split(".") if part.isdecimal()])


class Postgres:
    """A running server, whose superuser `tests` needs no password and `locked` has one.

    Args:
        folder: empty folder, which the server's user may enter.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._bin = folder, programs()
        # The programs refuse to run as root.
        self._user = {"user": _other(), "group": pwd.getpwnam(_other()).pw_gid, "extra_groups": []} if _root() else {}
        if _root():
            shutil.chown(folder, _other())
        data = folder / "data"
        line = [self._bin / "initdb", "-D", data, "-U", "tests", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(line, check=True, capture_output=True, cwd=folder, **self._user)
        rules = data / "pg_hba.conf"
        rules.write_text(f"local all locked scram-sha-256\n{rules.read_text()}")
        self.start()
        with psycopg.connect(self.url(), autocommit=True) as base:
            base.execute("CREATE ROLE locked LOGIN SUPERUSER PASSWORD 'sesame'")

    def url(self, user: str = "tests", database: str = "postgres", more: str = "") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}{more}"

    def tables(self) -> bytes:
        """Return all bytes of the files of tables and indexes; its logs of changes are others."""
        with psycopg.connect(self.url(), autocommit=True) as base:
            base.execute("CHECKPOINT")
        files = sorted((self.folder / "data" / "base").rglob("*"))
        return b"".join(path.read_bytes() for path in files if path.is_file())

    def new(self) -> str:
        """Return the URL of a schema of its own: quicker to make than a database."""
        name = f"votes_{next(_NAMES)}"
        with psycopg.connect(self.url(), autocommit=True) as base:
            base.execute(f"CREATE SCHEMA {name}")
        return self.url(more=f"&options=-csearch_path%3D{name}")

    def start(self) -> None:
        line = [self._bin / "postgres", "-D", self.folder / "data", "-k", self.folder, "-p", str(_PORT), "-h", ""]
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self._process = subprocess.Popen(line, stdout=log, stderr=log, cwd=self.folder, **self._user)
        for _ in range(300):
            try:
                return psycopg.connect(self.url()).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, "PostgreSQL did not start"
                time.sleep(0.1)
        raise AssertionError("PostgreSQL did not start in 30 s")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends sessions in order, SIGQUIT does not, as a crash."""
        self._process.send_signal(how)
        self._process.wait(30)


def _root() -> bool:
    return os.geteuid() == 0


def _other() -> str:
    names = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def running() -> Iterator[Postgres]:
    """Start a server; stop it and delete its folder at the end."""
    programs()
    with tempfile.TemporaryDirectory(prefix="d3s-pg-") as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "server"  # another user may enter it, whatever the umask
        folder.mkdir()
        server = Postgres(folder)
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)
