"""One item on a worker: done, with what was logged and what was wrong, for whoever gave it out.

Belongs here: what happens in the worker's process, whichever engine's it is. Does not: giving items out (local.py,
ray.py).
"""

import logging
import os
import pickle
import socket
import sys
import traceback
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from cry_pipeline import keys, progress
from cry_pipeline.digests import sha256_of
from cry_pipeline.engine.interface import EngineError

LOG = logging.getLogger("cry_pipeline")
MOST_LINES = 500
"""Log lines of one item that are kept; a fault that every recording has would else fill memory."""


class Said(NamedTuple):
    """A log line of a worker."""

    level: int
    message: str


class Done(NamedTuple):
    """What came of one item: a result, or the ``fault`` that was raised; in either case what was logged, and where."""

    worker: str
    result: Any = None
    fault: BaseException | None = None
    trace: str = ""
    said: tuple[Said, ...] = ()

    def repeat_log(self) -> None:
        """Log here what the worker logged, with its name."""
        for line in self.said:
            LOG.log(line.level, "%s (worker %s)", line.message, self.worker)

    def outcome(self) -> Any:
        """Return the result, or raise what was raised, with the worker's traceback as its cause."""
        if self.fault is not None:
            raise self.fault from _OnWorkerError(f"on worker {self.worker}:\n{self.trace}")
        return self.result


class _OnWorkerError(Exception):
    """Where on a worker something was raised: the traceback as text."""


def perform(function: Callable[[Any], Any], item: Any) -> Done:
    """Do ``function(item)`` in this process, which shows no progress, and tell what came of it."""
    progress.hide()
    heard = _Listener()
    LOG.addHandler(heard)
    level, propagates, LOG.propagate = LOG.level, LOG.propagate, False
    LOG.setLevel(logging.INFO)
    worker = f"{socket.gethostname()}/{os.getpid()}"
    try:
        return Done(worker, function(item), said=heard.lines())
    except Exception as error:
        return Done(worker, fault=_packable(error), trace=traceback.format_exc(), said=heard.lines())
    finally:
        LOG.setLevel(level)
        LOG.propagate = propagates
        LOG.removeHandler(heard)


def _packable(error: Exception) -> Exception:
    """Return ``error``, or where it cannot be sent as it is, one that says the same."""
    try:
        return pickle.loads(pickle.dumps(error))  # noqa: S301 - packed in this line
    except Exception:  # whatever its own methods raise
        return EngineError(f"{type(error).__name__}: {error}")


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Said] = []
        self._more = 0

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._lines) < MOST_LINES:
            self._lines.append(Said(record.levelno, self.format(record)))
        else:
            self._more += 1

    def lines(self) -> tuple[Said, ...]:
        more = [Said(logging.WARNING, f"{self._more} more lines were logged, which are not kept")] if self._more else []
        return (*self._lines, *more)


@cache
def implementation() -> dict[str, str]:
    """Return what computes here, by name: this package's code, Python, and every library that is part of a key."""
    package = Path(__file__).parents[1]
    code = sorted(path for path in package.rglob("*") if path.suffix in (".py", ".yaml"))
    libraries = {name for stage in keys.STAGES.values() for name in (*stage.libraries, *stage.exact)}
    return {
        "cry-pipeline's code": sha256_of("".join(sha256_of(path.read_bytes()) for path in code).encode())[:12],
        "Python": ".".join(map(str, sys.version_info[:2])),
        **{name: _version(name) for name in sorted(libraries)},
    }


def require(wanted: dict[str, str]) -> None:
    """Raise EngineError where this process would compute otherwise than one that has the ``wanted`` implementation."""
    here = implementation()
    if here != wanted:
        others = [
            f"{name}: {here.get(name, 'none')}, not {wanted.get(name, 'none')}"
            for name in wanted | here
            if here.get(name) != wanted.get(name)
        ]
        raise EngineError(
            f"{socket.gethostname()} has another installation than the machine that leads the run "
            f"({'; '.join(others)}), so its results would lie under keys that are not theirs: install the same on all"
        )


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"
