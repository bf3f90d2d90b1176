"""Ctrl-C and SIGTERM: both end the command within seconds, whatever it is at.

Belongs here: which signal asked to end, and the end where nobody heeds it. Does not: what is said then (main.py), nor
the processes of the UI (orchestration/ui.py).

Work is made to be killed at any moment, so that an end which nothing waits for loses nothing. It is needed: code of
others is deaf while it computes, and swallows what a signal raises (while modules are imported, in calls from C).
"""

import atexit
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import cast

PATIENCE_S = 3.0
"""How long the work has to end by itself. The processes that it started notice within another second."""
SAME_S = 0.5
"""A signal so soon after another is the same one, sent to the process and to its group, as ``timeout`` does."""
HEEDED = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
_heard: list[int] = []
_raised: list[float] = []
_told = threading.Event()


@contextmanager
def heeded(say: Callable[[], object]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt in this thread, which is the process' main one.

    If the process is still there :data:`PATIENCE_S` later, or is asked once more, ``say`` is called and it ends. A
    signal that somebody chose to ignore, as ``nohup`` and shells' background jobs do, stays ignored.
    """
    before = {number: signal.getsignal(number) for number in HEEDED}
    # Dagster and Lightning change the handlers for a while. Python notes here, too, which signal there was.
    listening, noted = socket.socketpair()
    noted.setblocking(False)
    hook, sys.unraisablehook = sys.unraisablehook, partial(_swallowed, sys.unraisablehook)
    written_before = signal.set_wakeup_fd(noted.fileno(), warn_on_full_buffer=False)
    for number, handler in HEEDED.items():
        if before[number] is handler:
            signal.signal(number, _interrupt)
    threading.Thread(target=_listen, args=(listening, say), name="heeds signals", daemon=True).start()
    atexit.register(_leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if _heard else handler)
        signal.set_wakeup_fd(written_before)
        sys.unraisablehook = hook
        noted.close()


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Raised a second time, it would break into what the first one has begun: saying so, leaving in order.
    if not _raised or time.monotonic() - _raised[-1] > SAME_S:
        _raised.append(time.monotonic())
        signal.default_int_handler(number, frame)


def exit_code(wait_s: float = 0.0) -> int | None:
    """Return the exit code of the signal that asked the process to end, as shells have it; None where none did.

    A KeyboardInterrupt may be there before it is known of which signal: that is waited for, ``wait_s`` at most.
    """
    _told.wait(wait_s)
    return 128 + _heard[0] if _heard else None


def _leave() -> None:
    """End here, after what others have to do at exit: taking modules apart takes seconds, and threads are gone then."""
    if _heard:
        sys.stdout.flush()
        os._exit(128 + _heard[0])


def _listen(listening: socket.socket, say: Callable[[], object]) -> None:
    """Note the first signal; end the process when its time is over, or when another one comes."""
    while not _heard:
        numbers = listening.recv(64)
        if not numbers:
            return  # the work is done
        _heard.extend(number for number in numbers if number in HEEDED)
    until = time.monotonic() + PATIENCE_S
    _told.set()
    _woken()
    listening.setblocking(False)
    with suppress(BlockingIOError):
        listening.recv(64)
    listening.settimeout(PATIENCE_S - SAME_S)
    try:
        at_work = bool(listening.recv(64))
    except TimeoutError:
        at_work = True
    if at_work:
        say()
    else:  # all is said, and the process about to end
        time.sleep(max(until - time.monotonic(), 0))
    os._exit(128 + _heard[0])


def _woken() -> None:
    """Wait for :data:`SAME_S`, and wake the main thread where the signal came just before it fell asleep in a call."""
    for _ in range(4):
        time.sleep(SAME_S / 5)
        if not _raised and signal.getsignal(_heard[0]) is _interrupt:
            signal.pthread_kill(cast("int", threading.main_thread().ident), _heard[0])
    time.sleep(SAME_S / 5)


def _swallowed(hook: Callable[..., object], unraisable: "sys.UnraisableHookArgs") -> None:
    """Ask the process once more where the interrupt was raised in a call that lets nothing through, a weakref's."""
    if unraisable.exc_type is not None and not issubclass(unraisable.exc_type, Exception) and _told.wait(SAME_S / 2):
        _raised.clear()
        threading.Timer(SAME_S / 5, os.kill, (os.getpid(), _heard[0])).start()
    else:
        hook(unraisable)
