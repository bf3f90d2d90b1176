"""Other processes, for tests that start, kill and wait for them."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether the process is there; one that has ended and that nobody has asked after yet is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def heed_ctrl_c() -> None:
    """Let a process, before it begins, heed Ctrl-C and SIGTERM, even where the one that starts it ignores them.

    A shell lets what it starts in the background ignore Ctrl-C for good; libraries in the tests' own process may leave
    SIGTERM ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def wait_until(happened: Callable[[], object], what: str, timeout_s: float = 30.0) -> None:
    """Return once ``happened``; fail, saying ``what`` did not happen, after ``timeout_s``."""
    until = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < until, f"after {timeout_s:.0f} s: {what}: has not happened"
        time.sleep(0.05)


def say_pid_and_last(seconds: float) -> None:
    """Print which process this is, and take ``seconds``."""
    os.write(1, f"{os.getpid()}\n".encode())  # at once: two of them may say it at the same time
    time.sleep(seconds)
