"""The steps in which a process changes files below a folder, and what can be made to happen at one of them.

A step is a file or folder made, opened for writing, renamed, removed or synced, seen through Python's audit events;
with ``reads``, also a file opened or a folder listed. TensorStore's own reads are not seen (see EMFILE in actors.py).
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CHANGES = frozenset({"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"})
LOOKS = frozenset({"os.listdir", "os.scandir"})
_active: "list[Callable[[str, tuple], None]]" = []
_fsync = os.fsync
_installed = False


def _audit(event: str, about: tuple) -> None:
    for watch in _active:
        watch(event, about)


def _watched_fsync(descriptor: int) -> None:
    for watch in _active:
        watch("fsync", (descriptor,))
    _fsync(descriptor)


@contextmanager
def at_each_step(folder: Path, act: Callable[[], None], *, reads: bool = False) -> Iterator[None]:
    """Call ``act`` just before each step below ``folder``, in whichever thread; an error that it raises is the step's.

    Audit hooks cannot be taken back, so one is installed for good and does nothing outside this context.
    """
    global _installed
    if not _installed:
        sys.addaudithook(_audit)
        _installed = True
    below = str(folder)

    def watch(event: str, about: tuple) -> None:
        if event == "open":
            writes = isinstance(about[2], int) and about[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            counts = (reads or writes) and str(about[0]).startswith(below)
        elif event in CHANGES or (reads and event in LOOKS):
            counts = str(about[0]).startswith(below)
        else:
            counts = event == "fsync"
        if counts:
            act()

    _active.append(watch)
    os.fsync = _watched_fsync
    try:
        yield
    finally:
        _active.remove(watch)
        os.fsync = _fsync


@contextmanager
def at_each_request(act: Callable[[], None]) -> Iterator[None]:
    """Call ``act`` just before and just after each request that changes a bucket; an error that it raises is its."""
    import obstore

    names = ("put", "copy", "delete")
    whole = {name: getattr(obstore, name) for name in names}

    def watched(name: str) -> Callable[..., object]:
        def request(*arguments: object) -> object:
            act()
            answer = whole[name](*arguments)
            act()
            return answer

        return request

    for name in names:
        setattr(obstore, name, watched(name))
    try:
        yield
    finally:
        for name in names:
            setattr(obstore, name, whole[name])


class Countdown:
    """Calls ``act`` at step number ``step``, and at every later one where ``forever``; ``reached`` tells whether."""

    def __init__(self, step: int, act: Callable[[], None], *, forever: bool = False) -> None:
        self._left = step
        self._act = act
        self._forever = forever
        self._lock = threading.Lock()
        self.reached = False

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            due = self._left < 0 if self._forever else self._left == -1
        if due:
            self.reached = True
            self._act()


def die() -> None:
    """Kill this process, as ``kill -9`` does."""
    os.kill(os.getpid(), signal.SIGKILL)
