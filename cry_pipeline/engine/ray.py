"""The engine of many machines: a Ray cluster, or a Ray that is started here for this process.

Belongs here: giving items out to Ray's tasks, and what is done where workers, nodes or the head die. Does not: what a
worker does (task.py), and whole runs on a cluster (Dagster's run launcher does that).

``RAY_ADDRESS`` says which cluster is joined; this process has to be on one of its nodes. Nothing of value lies in Ray:
a function goes to the workers through its object store, and a report comes back; what was made is in files.
"""

import logging
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from cry_pipeline.engine.head import answers
from cry_pipeline.engine.interface import EngineError, WorkerDiedError
from cry_pipeline.engine.task import Done, implementation, perform, require

LOG = logging.getLogger("cry_pipeline")
ADDRESS = "RAY_ADDRESS"
OF_WORKERS = ("CRY_PIPELINE_DECODER_CAGE",)
"""Settings that code on a worker reads from its own environment, where they have to be as they are here."""
AHEAD = 2
"""Items given out for each that is worked on: so many that none has to wait for this process."""
LOOK_S = 1.0
"""How often it is looked whether the cluster is there, while nothing is finished."""
SIZE_S = 10.0
"""How often the cluster is asked how large it is."""
HEAD_S = 30.0
"""How long the head may be silent. Ray ends this process, without a word of ours, after 60 s."""
NOBODY_S = 600.0
"""How long it is waited for a first node that can work."""
BEFORE_IMPORT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_grpc_client_keepalive_time_ms": "10000",
    "RAY_grpc_client_keepalive_timeout_ms": "20000",
}
"""Ray's own settings where the environment has none: nothing is told to anybody, a busy machine may take longer than
Ray's 30 s to start it, and a worker on a node that is cut off is given up after half a minute, not seven."""
STORE_BYTES = 128 * 2**20
"""Of a Ray started here: its object store holds functions only."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Ray:
    """See :class:`.interface.Engine`. ``workers`` is how many a Ray has that is started here."""

    workers: int = 1
    shares_memory = False

    def size(self) -> int:
        """Return how many CPUs the cluster's nodes have for tasks."""
        return _Cluster.joined(self.workers).size()

    def map(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        *,
        cpus: float = 1.0,
        gpus: float = 0.0,
        memory: int = 0,
        retries: int = 3,
    ) -> Iterator[tuple[T, R]]:
        """See :meth:`.interface.Engine.map`."""
        if items:
            work = _Work(_Cluster.joined(self.workers), function, cpus, gpus, memory)
            yield from work.all_of(items, retries)


class _Cluster:
    """The cluster that this process is part of; there is one at most."""

    _one: "_Cluster | None" = None
    _joining = threading.Lock()

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        self.address = str(ray.get_runtime_context().gcs_address)
        self._silent_since: float | None = None
        self._nobody_since: float | None = None
        self._looked, self._asked, self._size = -LOOK_S, -SIZE_S, 0

    @classmethod
    def joined(cls, workers: int) -> "_Cluster":
        """Return the cluster, which is joined, or started here with ``workers`` CPUs, where that has not been done."""
        with cls._joining:
            ray = _library()
            if cls._one is None or not ray.is_initialized():
                if not ray.is_initialized():
                    _join(ray, workers)
                cls._one = cls(ray)
            return cls._one

    def size(self) -> int:
        """Return how many CPUs the nodes have for tasks, at least 1, as of some seconds ago."""
        self.look()
        return max(1, self._size)

    def look(self) -> None:
        """Raise EngineError where the head, or every node that can work, has been away for too long."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        if not answers(self.address, LOOK_S):
            self._silent_since = self._silent_since or now
            if now - self._silent_since > HEAD_S:
                raise EngineError(
                    f"The head of the Ray cluster, {self.address}, has not answered for {HEAD_S:.0f} s. What was "
                    "finished is kept: start the head and its nodes again, and run the same command again"
                )
            return
        self._silent_since = None
        if now - self._asked < SIZE_S:
            return
        self._size, self._asked = int(self.ray.cluster_resources().get("CPU", 0)), now
        if self._size:
            self._nobody_since = None
            return
        if self._nobody_since is None:
            self._nobody_since = now
            LOG.warning(
                "No node of the Ray cluster %s has a CPU for tasks; one is waited for, %d s at most",
                self.address,
                NOBODY_S,
            )
        if now - self._nobody_since > NOBODY_S:
            raise EngineError(
                f"No node of the Ray cluster {self.address} had a CPU for tasks for {NOBODY_S:.0f} s. What was "
                "finished is kept: start nodes (ray start --address …), and run the same command again"
            )


class _Work:
    """One function on its way to the workers, and what of its items is given out."""

    def __init__(
        self, cluster: _Cluster, function: Callable[[Any], Any], cpus: float, gpus: float, memory: int
    ) -> None:
        ray = self.ray = cluster.ray
        self.cluster = cluster
        self.at_once = lambda: max(1, int(cluster.size() // cpus)) * AHEAD
        packed = ray.cloudpickle.dumps(function)
        environment = {name: os.environ[name] for name in OF_WORKERS if name in os.environ}
        self._given = [ray.put(packed), implementation(), environment]
        # Ray would try again by itself, without a word.
        self._task = ray.remote(_perform).options(
            num_cpus=cpus, num_gpus=gpus, memory=memory or None, max_retries=0, scheduling_strategy="SPREAD"
        )
        self._running: dict[Any, tuple[int, int]] = {}

    def all_of(self, items: Sequence[T], retries: int) -> Iterator[tuple[T, Any]]:
        """Yield each item with its result; see :meth:`.interface.Engine.map`."""
        # Places among the items, and how often the item has been given out before.
        waiting = deque((place, 0) for place in range(len(items)))
        try:
            while waiting or self._running:
                while waiting and len(self._running) < self.at_once():
                    place, deaths = waiting.popleft()
                    self._running[self._task.remote(*self._given, items[place])] = place, deaths
                for place, deaths, done in self._finished():
                    if isinstance(done, Done):
                        done.repeat_log()
                        yield items[place], done.outcome()
                    elif deaths < retries:
                        LOG.warning("%s; its item is given out again, %s of %s times", done, deaths + 1, retries)
                        waiting.append((place, deaths + 1))
                    else:
                        raise WorkerDiedError(
                            f"{done}, and so did {deaths} before it that had the same item, so it is not tried again. "
                            "What was finished is kept. Ray's own log says more: <its folder>/session_latest/logs"
                        )
        finally:
            self._give_up()

    def _finished(self) -> Iterator[tuple[int, int, Done | str]]:
        """Yield what of the items given out has come to an end, maybe nothing: place, deaths, and what came of it."""
        ready, _ = self.ray.wait(list(self._running), num_returns=1, timeout=LOOK_S)
        if not ready:
            self.cluster.look()
        for task in ready:
            place, deaths = self._running.pop(task)
            yield place, deaths, self._outcome(task)

    def _outcome(self, task: Any) -> Done | str:
        """Return what came of a task, or in words how its worker died.

        Raises:
            EngineError: nobody could begin with it.
        """
        faults = self.ray.exceptions
        try:
            return self.ray.get(task)
        except faults.OutOfMemoryError:
            return "A worker was ended because its machine's memory ran out"
        except (faults.NodeDiedError, faults.ObjectLostError, faults.LocalRayletDiedError):
            return "A node of the Ray cluster died"
        except faults.WorkerCrashedError:
            return "A worker died"
        except faults.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, EngineError) else None
            raise EngineError(str(cause or f"A worker could not begin with its work: {error}")) from None
        except faults.RayError as error:
            raise EngineError(f"Ray gave up an item: {error}") from error

    def _give_up(self) -> None:
        for task in self._running:
            # With force, as work is made to be killed at any moment.
            self.ray.cancel(task, force=True)
        self._running.clear()


def _perform(packed: bytes, wanted: dict[str, str], environment: dict[str, str], item: Any) -> Done:
    require(wanted)
    os.environ.update(environment)
    return perform(pickle.loads(packed), item)  # noqa: S301 - packed by the process that gave it out


def _library() -> Any:
    for name, value in BEFORE_IMPORT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise EngineError(
            "CRY_PIPELINE_ENGINE is ray, and Ray is not installed: install cry-pipeline[ray] (Python 3.13 at most), "
            "or set it to local"
        ) from None
    return ray


def _join(ray: Any, workers: int) -> None:
    """Join the cluster at ``RAY_ADDRESS``; where that is not set, start one here, which ends with this process.

    Raises:
        EngineError: there is no such cluster, or it has another Ray or Python.
    """
    address = os.environ.get(ADDRESS, "")
    if address.startswith("ray://"):
        raise EngineError(
            f"{ADDRESS} is {address}, a client's address: run this on a node of the cluster, and give "
            "<head>:6379 or auto"
        )
    here: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    started = time.perf_counter()
    with _signals_kept():
        try:
            ray.init(
                address=address or "local",
                log_to_driver=False,  # what a worker logs comes with its report
                logging_level=logging.ERROR,
                **(here if address in ("", "local") else {}),
            )
        except Exception as error:  # a bare one where its processes are slow to start
            where = f"the Ray cluster at {ADDRESS}={address} cannot be joined" if address else "Ray cannot be started"
            raise EngineError(
                f"CRY_PIPELINE_ENGINE is ray, and {where}: {error}. Mend that, or set it to local"
            ) from error
    what = f"joined the cluster at {address}" if address else f"started here with {workers} workers"
    LOG.info("Ray %s: %s, in %.1f s", ray.__version__, what, time.perf_counter() - started)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM mean afterwards what they did before: Ray takes them over."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
