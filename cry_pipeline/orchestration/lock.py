"""One at a time: a lock on a folder that says who holds it; and whether a process is alive, wherever it runs.

Belongs here: the locks, and which process holds them. Does not: Dagster, nor what is done under the lock.
"""

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Self

from cry_pipeline.artefacts import open_plain
from cry_pipeline.digests import sha256_of

LOG = logging.getLogger("cry_pipeline")
INTERVAL_S = 0.5
SAID_EVERY_S = 300.0
ENDED = "ended"
WRITER = ".writer.lock"
"""The lock of a data folder, in it."""


class BusyError(RuntimeError):
    """Somebody else holds the lock; the message says who, and for how long."""


@dataclass(frozen=True)
class Process:
    """A process that another one can find again, and tell from a later one with the same number."""

    host: str
    pid: int
    started: str
    """Since which boot, and how many clock ticks after it, on Linux; empty where that is not known."""
    numbered_in: str = ""
    """Where its number holds: the name of its PID namespace, on Linux; empty where that is not known."""

    @classmethod
    def this(cls) -> Self:
        """Return the process that asks."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return the process that has this number here, now."""
        return cls(socket.gethostname(), pid, _started(pid), _numbered_in())

    @property
    def can_be_asked(self) -> bool:
        """Whether its number means it here: on this host, and in no other container."""
        return self.host == socket.gethostname() and self.numbered_in in ("", _numbered_in())

    def is_dead(self) -> bool:
        """Return whether the process has certainly ended; never of one elsewhere: see :func:`is_alive_in`."""
        if not self.can_be_asked:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # there is one, of another user
        now = _started(self.pid)
        return now == ENDED or self.started not in ("", now)


def stay_alive_in(folder: Path) -> None:
    """Hold a lock in ``folder`` that says that this process is alive, until it ends, however it does.

    Processes in other containers cannot ask for its number, but share the folder, and the system's locks with it.
    """
    path = _sign_of_life(folder, Process.this())
    if path in _ALIVE:
        return
    folder.mkdir(parents=True, exist_ok=True)
    _ALIVE[path] = sign = os.fdopen(open_plain(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "a", encoding="utf-8")
    fcntl.flock(sign, fcntl.LOCK_EX)


def is_alive_in(folder: Path, process: Process) -> bool | None:
    """Return whether ``process`` holds its lock in ``folder``; None where it never has, or nobody can know here."""
    try:
        with os.fdopen(open_plain(_sign_of_life(folder, process), os.O_WRONLY), "w", encoding="utf-8") as sign:
            return not _locked(sign)
    except OSError:
        return None


def remove_signs_of_life(folder: Path) -> None:
    """Remove the locks of processes that have ended."""
    for path in folder.glob("*.alive") if folder.is_dir() else ():
        with path.open("a", encoding="utf-8") as sign:
            if _locked(sign):
                path.unlink(missing_ok=True)


_ALIVE: dict[Path, IO[str]] = {}
"""What this process has open until it ends."""


def _sign_of_life(folder: Path, process: Process) -> Path:
    name = f"{process.host} {process.pid} {process.started} {process.numbered_in}"
    return folder / f"{sha256_of(name.encode())[:16]}.alive"


def _numbered_in() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    # A zombie has ended; only its parent has not asked yet.
    return f"{boot} {fields[19]}" if fields[0] != "Z" else ENDED


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, since when, and for what."""

    process: Process
    since: str
    what: str

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return who holds the lock at ``path``, as it said itself; None while it has not said yet."""
        try:
            return cls.parsed(json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return None

    @classmethod
    def parsed(cls, holder: Any) -> Self | None:
        """Return who said so, as JSON; None where that is not told."""
        try:
            return cls(Process(**holder["process"]), holder["since"], holder["what"])
        except (TypeError, KeyError):
            return None

    def __str__(self) -> str:
        began = datetime.fromisoformat(self.since)
        minutes = max(0, int((datetime.now().astimezone() - began).total_seconds() // 60))  # the clock may be set back
        lasted = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
        where = f"process {self.process.pid} on {self.process.host}"
        return f"{self.what} ({where}, since {began:%Y-%m-%d %H:%M:%S}, for {lasted})"


@contextmanager
def write_alone(data: Path, what: str, **waiting: Any) -> Iterator[None]:
    """Hold the lock of the data folder ``data`` for ``what``, once nobody else does. See :func:`hold`."""
    with hold(data / WRITER, what, **waiting):
        yield


@contextmanager
def hold(
    path: Path,
    what: str,
    *,
    wait_s: float | None = None,
    meanwhile: Callable[[], object] = lambda: None,
    say: Callable[[str], object] = LOG.info,
) -> Iterator[None]:
    """Hold the lock at ``path``, once nobody else does.

    The system frees the lock of a process that was killed. That is why it is ``flock``: a lock that is a file's being
    there would stay. The file itself stays, too, as another process may just be waiting for it.

    Args:
        path: the file that is locked; it says who holds it.
        what: what the lock is held for, in words for whoever waits.
        wait_s: how long to wait; None: for ever.
        meanwhile: called twice a second while waiting; what it raises ends the waiting.
        say: told who holds the lock, and for how long, at first and every five minutes.

    Raises:
        BusyError: somebody else still held it after ``wait_s``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened for appending: whoever waits must not empty what the holder wrote.
    with os.fdopen(open_plain(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "a", encoding="utf-8") as file:
        _wait(file, path, wait_s, meanwhile, say)
        holder = Holder(Process.this(), datetime.now().astimezone().isoformat(timespec="seconds"), what)
        file.truncate(0)
        file.write(json.dumps(asdict(holder)) + "\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _wait(
    file: IO[str],
    path: Path,
    wait_s: float | None,
    meanwhile: Callable[[], object],
    say: Callable[[str], object],
) -> None:
    began = time.monotonic()
    said = -SAID_EVERY_S
    while not _locked(file):
        waited = time.monotonic() - began
        holder = Holder.read(path) or "another process"
        if wait_s is not None and waited >= wait_s:
            raise BusyError(
                f"{path.parent} is being written by {holder}. Only one run at a time may write there: try again when "
                "it has ended."
            )
        if waited - said >= SAID_EVERY_S:
            say(f"Waiting for {holder} to end: one at a time writes {path.parent}.")
            said = waited
        meanwhile()
        time.sleep(INTERVAL_S)


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
