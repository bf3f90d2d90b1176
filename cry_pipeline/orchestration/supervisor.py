"""Services that are kept running: started again when they end, and ended together.

Belongs here: processes and their end. Does not: what they are (ui.py), nor Dagster.
"""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

LOG = logging.getLogger("cry_pipeline")
PR_SET_PDEATHSIG = 1
PATIENCE_S = 2.0
"""How long services, and runs that they started, have to end when asked to."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Before a service is started again; twice as long after each time that it did not live for :data:`STEADY_S`."""
STEADY_S = 60.0


@dataclass
class Service:
    """A process that is to run as long as the supervisor does."""

    name: str
    """For sentences: "the daemon"."""
    command: list[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    changed: float = 0.0
    """When it was started last; if it does not run, when it is to be."""

    def start(self, log: Path | None) -> int:
        """Start the process, in a group of its own: so whatever it starts can be ended with it; return its number."""
        with log.open("ab") if log is not None else nullcontext() as written:
            self.process = subprocess.Popen(  # noqa: S603 - not what somebody else wrote
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                start_new_session=True,
                preexec_fn=_prepare(),
            )
        self.changed = time.monotonic()
        return self.process.pid


@dataclass
class Supervisor:
    """Keeps services running until it is left; then it ends them, the last one first, with all that they started."""

    log: Path | None
    """Gets what the services, and runs that they start, write to stdout and stderr; None: what this one writes to."""
    services: list[Service] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)

    def start(self, service: Service) -> None:
        """Start a service, and keep it running from now on."""
        self.services.append(service)
        self.groups.append(service.start(self.log))

    def watch(self) -> None:
        """Notice which services have ended, say so, and start those again whose pause is over; call it often."""
        now = time.monotonic()
        for service in self.services:
            if service.process is None:
                if now >= service.changed:
                    self.groups.append(service.start(self.log))
            elif (code := service.process.poll()) is not None:
                service.failures = 0 if now - service.changed > STEADY_S else service.failures
                pause_s = min(FIRST_PAUSE_S * 2**service.failures, LONGEST_PAUSE_S)
                where = f" What it said is in {self.log}." if self.log is not None else ""
                LOG.warning(
                    "%s has ended (%s), and is started again in %.0f s.%s", service.name, _how(code), pause_s, where
                )
                service.process, service.changed = None, now + pause_s
                service.failures += 1
        # What ended services left behind, such as runs, ends with the rest. A group's number is free once it is empty.
        self.groups = [group for group in self.groups if _signalled(group, 0)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask all to end, and kill what has not soon. Runs bear it, and are called failed when the next UI starts."""
        until = time.monotonic() + PATIENCE_S
        for group in reversed(self.groups):
            _signalled(group, signal.SIGTERM)
        while self.groups and time.monotonic() < until:
            time.sleep(0.05)
            for service in self.services:
                if service.process is not None:
                    service.process.poll()  # or it would be there until somebody asks after it
            self.groups = [group for group in self.groups if _signalled(group, 0)]
        for group in self.groups:
            _signalled(group, signal.SIGKILL)
        for service in self.services:
            if service.process is not None:
                service.process.wait()


def _signalled(group: int, number: int) -> bool:
    """Send a signal to a group of processes; return whether there is any in it."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)
        return True
    return False


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def _prepare() -> Callable[[], None]:
    """Return what a child calls before it begins.

    It is to heed SIGTERM, which to Dagster's processes is what SIGINT is, and that is ignored by all that a shell's
    background job starts. On Linux it gets SIGTERM, and ends in order, when this process is killed.
    """
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    return prepare
