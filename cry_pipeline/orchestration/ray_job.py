"""A run that is a job of Ray ends itself once Ray has lost it.

Belongs here: how that is known in the run's process, and its end. Does not: who launches the run anew (the daemon, with
ray_launcher.py), nor work that a run spreads over the cluster (engine/ray.py).

Ray's supervisor of a job starts a shell, and that the process. Once the raylet of the node has ended, the supervisor
kills its children and itself: the shell, and the watcher that was to kill the process. So that goes on. A node that is
cut off is taken for dead by the head after a minute, while its raylet ends two minutes later. In either case the run is
launched anew on another node, and would wait for the lock of the data folder that the old process holds.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cry_pipeline.engine.head import answers
from cry_pipeline.orchestration.lock import Process

OF_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray sets it for the process of a job, which is of a session of its own, and for no other."""
ADDRESS = "RAY_ADDRESS"
PATIENCE = "RAY_gcs_rpc_server_reconnect_timeout_s"
PATIENCE_S = 60.0
"""How long Ray's own processes bear it that there is no head, where that variable does not say otherwise."""
LOOKS_EVERY_S = 5.0


@contextmanager
def ended_once_lost(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Inside, kill this process, and all of its group, once its supervisor has ended or the head was away for too long.

    At once, since work is made to be killed at any moment. Where the process is not that of a job of Ray, nothing is
    watched; the supervisor only on Linux.
    """
    address = environment.get(ADDRESS, "")
    if OF_A_JOB not in environment or not address:
        yield
        return
    left = threading.Event()
    arguments = (address, float(environment.get(PATIENCE, PATIENCE_S)), left)
    threading.Thread(target=_watch, args=arguments, name="watches Ray", daemon=True).start()
    try:
        yield
    finally:
        left.set()


def _watch(address: str, patience_s: float, left: threading.Event) -> None:
    reached, supervisor = time.monotonic(), _supervisor()
    while not left.wait(LOOKS_EVERY_S):
        if sys.platform == "linux" and (supervisor is None or supervisor.is_dead()):
            _end("Ray's supervisor of this run has ended")
        if answers(address, LOOKS_EVERY_S):
            reached = time.monotonic()
        elif (away_s := time.monotonic() - reached) >= patience_s and not left.is_set():
            _end(f"Ray's head at {address} has been out of reach for {away_s:.0f} s")


def _supervisor() -> Process | None:
    """Return what has started the first process of this session; None where that has ended already.

    Not the parent: when a run is stopped, its shell ends at once, and the run has a minute more to note that.
    """
    try:
        stat = Path(f"/proc/{os.getsid(0)}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    state, parent = stat.rpartition(")")[2].split()[:2]
    return None if state == "Z" else Process.of(int(parent))


def _end(why: str) -> None:
    # Not by the log: that goes to Dagster's records as well, and waits for a database that may be out of reach.
    os.write(2, f"{why}: the run ends here, to be launched anew.\n".encode())
    os.killpg(os.getpgrp(), signal.SIGKILL)
