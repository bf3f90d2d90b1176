"""Processes that use a store and get killed, run out of things, or get in each other's way.

Each scenario is a command of this module, so that it has a process of its own: one that has loaded all it needs but not
yet used it, and forks the actors. Outcomes are told as lines of JSON on stdout.
"""

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorstore  # noqa: F401 - so that no fork spends time on it
import zarr.codecs  # noqa: F401
from obstore.exceptions import BaseError

from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.folder_storage import replace_file
from cry_pipeline.features.store.garbage import collect_garbage
from cry_pipeline.features.store.rows import FeatureStoreError
from cry_pipeline_tests.faults.rows import open_store, rows_of, wrong_rows
from cry_pipeline_tests.faults.steps import Countdown, at_each_request, at_each_step, die

OPERATIONS = ("write", "compact", "gc")
ERROR = 3


def tell(**what: Any) -> None:
    """Write one outcome; in one call, so that lines of several processes do not mix."""
    os.write(1, (json.dumps(what) + "\n").encode())


def fork(actor: Callable[[], None]) -> int:
    """Run ``actor`` in a process of its own and return its id; an error of it is told and is exit status 1."""
    child = os.fork()
    if child:
        return child
    try:
        actor()
    except BaseException as error:
        tell(error=repr(error))
        os._exit(1)
    os._exit(0)


def wait(child: int) -> int:
    """Return the exit status of ``child``, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fill(uri: str | Path, operation: str) -> None:
    """Make the store that ``operation`` needs: two parts, for gc also a compaction of them."""
    store = open_store(uri)
    store.write(rows_of(["a", "b"]))
    store.write(rows_of(["c"]))
    if operation == "gc":
        compact(store)


def prepare(folder: Path, operation: str) -> None:
    """Put into ``folder`` the store that ``operation`` needs."""
    pattern = folder.with_name("pattern")

    if not pattern.exists() and wait(fork(lambda: fill(pattern, operation))):
        raise SystemExit("the store could not be made")
    shutil.copytree(pattern, folder)


def operate(uri: str | Path, operation: str) -> None:
    """Do one operation, such as the fault tests interrupt."""
    store = open_store(uri)
    if operation == "write":
        store.write(rows_of(["d", "e"]))
    elif operation == "compact":
        compact(store)
    else:
        collect_garbage(store, readers_s=0, dry_run=False)


def killed_at_every_step(work: Path, operation: str, stride: str) -> None:
    """Do ``operation`` again and again, each time on a new store and killed ``stride`` steps later, until it is not."""
    step, done = 0, False
    while not done:
        folder = work / f"step{step}"
        prepare(folder, operation)
        countdown = Countdown(step, die)

        def act(folder: Path = folder, countdown: Countdown = countdown) -> None:
            with at_each_step(folder, countdown):
                operate(folder, operation)

        status = wait(fork(act))
        if status not in (0, -signal.SIGKILL):
            raise SystemExit(f"step {step} ended with status {status}")
        done = status == 0
        tell(folder=folder.name, acknowledged=done)
        step += int(stride)


def failing_at_every_step(work: Path, operation: str, stride: str, errno: str) -> None:
    """Let one I/O call of ``operation`` fail with ``errno``, each time ``stride`` calls later, until none is left."""
    step, done = 0, False
    while not done:
        folder = work / f"step{step}"
        prepare(folder, operation)

        def fail() -> None:
            raise OSError(int(errno), os.strerror(int(errno)))

        countdown = Countdown(step, fail)

        def act(folder: Path = folder, countdown: Countdown = countdown) -> None:
            status = 0
            with at_each_step(folder, countdown, reads=True):
                try:
                    operate(folder, operation)
                except (OSError, FeatureStoreError):
                    status = ERROR
            os._exit(status if countdown.reached or status else ERROR + 1)

        status = wait(fork(act))
        if status not in (0, ERROR, ERROR + 1):
            raise SystemExit(f"step {step} ended with status {status}")
        done = status == ERROR + 1
        tell(folder=folder.name, acknowledged=status != ERROR)
        step += int(stride)


def few_descriptors(work: Path, operation: str) -> None:
    """Do ``operation`` with room for so many open files, each time one more, until it succeeds: EMFILE everywhere."""
    spare, done = 0, False
    while not done:
        folder = work / f"spare{spare}"
        prepare(folder, operation)

        def act(folder: Path = folder, spare: int = spare) -> None:
            used = len(list(Path("/proc/self/fd").iterdir())) - 1
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + spare, used + spare))
            try:
                operate(folder, operation)
            except (OSError, FeatureStoreError):
                os._exit(ERROR)

        status = wait(fork(act))
        if status not in (0, ERROR):
            raise SystemExit(f"{spare} spare descriptors ended with status {status}")
        done = status == 0
        tell(folder=folder.name, acknowledged=done)
        spare += 1


def killed_at_random(folder: Path, times: str, seed: str) -> None:
    """Let a process write, compact and collect garbage in ``folder`` until it is killed, ``times`` times over."""
    moments = random.Random(int(seed))  # noqa: S311
    for turn in range(int(times)):

        def act(turn: int = turn) -> None:
            store, count = open_store(folder), 0
            while True:
                names = [f"{turn}-{count}", f"{turn}-{count + 1}"]
                store.write(rows_of(names))
                tell(acknowledged=names)
                count += 2
                if count % 6 == 0:
                    compact(store)
                if count % 10 == 0:
                    collect_garbage(store, readers_s=0, dry_run=False)

        child = fork(act)
        time.sleep(moments.uniform(0.0, 0.6))
        os.kill(child, signal.SIGKILL)
        status = wait(child)
        if status != -signal.SIGKILL:
            raise SystemExit(f"the writer ended with status {status} before it was killed")


def together(folder: Path, writers: str, commits: str, uri: str = "") -> None:
    """Let ``writers`` processes commit, some rows by several of them, two more compact and collect, one more read.

    The store is at ``uri``, or in ``folder``; what was acknowledged is told in ``folder``.
    """
    (folder / "told").mkdir(parents=True)
    where = uri or folder

    def write(writer: int) -> None:
        store = open_store(where)
        for turn in range(int(commits)):
            names = [f"w{writer}t{turn}", f"shared{turn}"]
            store.write(rows_of(names))
            replace_file(folder / "told" / f"{writer}-{turn}", json.dumps(names).encode(), folder / f".{writer}")
            tell(acknowledged=names)

    def until_over(act: Callable[[], None]) -> None:
        over = False
        while not over:  # and once more after that
            over = (folder / "over").exists()
            act()

    def tidy() -> None:
        store = open_store(where)

        def once() -> None:
            report = compact(store)
            garbage = collect_garbage(store, readers_s=0, dry_run=False)
            tell(compactions=len(report.written), collected=len(garbage.bytes_by_path))
            time.sleep(0.05)

        until_over(once)

    def poll() -> None:
        store = open_store(where)

        def once() -> None:
            acknowledged = {name for path in (folder / "told").iterdir() for name in json.loads(path.read_text())}
            missing, wrong = store.missing(acknowledged), wrong_rows(store, store.recording_ids())
            if missing or wrong:
                tell(error=f"{len(missing)} missing, {wrong} wrong")
            if acknowledged:
                tell(polls=1, rows=len(acknowledged))

        until_over(once)

    background = [fork(tidy), fork(tidy), fork(poll)]
    faults = [wait(child) for child in [fork(lambda writer=writer: write(writer)) for writer in range(int(writers))]]
    (folder / "over").touch()
    faults += [wait(child) for child in background]
    if any(faults):
        raise SystemExit(f"actors ended with {faults}")


def killed_at_every_request(work: Path, operation: str, stride: str, bucket: str) -> None:
    """Do ``operation`` on stores in ``bucket``, each time killed ``stride`` requests later, until it is not."""
    _at_every_request(work, operation, int(stride), bucket, lambda: die)


def failing_at_every_request(work: Path, operation: str, stride: str, bucket: str) -> None:
    """Let one request of ``operation`` fail, its effect done or not, each time ``stride`` requests later."""

    def fail() -> None:
        raise BaseError("the service went away")

    _at_every_request(work, operation, int(stride), bucket, lambda: fail)


def _at_every_request(
    work: Path, operation: str, stride: int, bucket: str, make: Callable[[], Callable[[], None]]
) -> None:
    step, done = 0, False
    while not done:
        uri = f"{bucket}/{work.name}-{operation}-{step}"
        if wait(fork(lambda uri=uri: fill(uri, operation))):
            raise SystemExit("the store could not be made")
        countdown = Countdown(step, make())

        def act(uri: str = uri, countdown: Countdown = countdown) -> None:
            status = 0
            with at_each_request(countdown):
                try:
                    operate(uri, operation)
                except (OSError, FeatureStoreError):
                    status = ERROR
            os._exit(status if countdown.reached or status else ERROR + 1)

        status = wait(fork(act))
        if status not in (0, ERROR, ERROR + 1, -signal.SIGKILL):
            raise SystemExit(f"request {step} ended with status {status}")
        done = status == ERROR + 1
        tell(uri=uri, acknowledged=status in (0, ERROR + 1))
        step += stride


def main() -> None:
    scenarios = (
        killed_at_every_step,
        failing_at_every_step,
        few_descriptors,
        killed_at_random,
        together,
        killed_at_every_request,
        failing_at_every_request,
    )
    scenario = next(each for each in scenarios if each.__name__ == sys.argv[1])
    scenario(Path(sys.argv[2]), *sys.argv[3:])


if __name__ == "__main__":
    main()
