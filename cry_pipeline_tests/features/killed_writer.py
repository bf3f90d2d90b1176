"""Commit the same rows again and again, each time killed one step later, until one commit is not killed.

A step is a file or folder made, opened for writing, renamed or synced. Each commit is made by a fork, into a folder
of its own, and is told as one line of JSON on stdout.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import tensorstore  # noqa: F401 - so that no fork spends time on it
import zarr.codecs  # noqa: F401

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.rows import FeatureRows
from cry_pipeline.features.store import FeatureStore

STEPS = ("os.mkdir", "os.rename", "os.link", "os.symlink")


def die_at(step: int, folder: Path) -> None:
    """Kill this process just before the ``step``-th change below ``folder``, whichever thread makes it."""
    lock = threading.Lock()
    left = step

    def count() -> None:
        nonlocal left
        with lock:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, about: tuple) -> None:
        writes = event == "open" and isinstance(about[2], int) and about[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (writes or event in STEPS) and str(about[0]).startswith(str(folder)):
            count()

    fsync = os.fsync

    def counted(descriptor: int) -> None:
        count()
        fsync(descriptor)

    os.fsync = counted
    sys.addaudithook(watch)


def main(work: Path) -> None:
    spec = FeatureSetSpec.model_validate_json((work / "spec.json").read_text())
    saved = dict(np.load(work / "rows.npz"))
    rows = FeatureRows(tuple(map(str, saved.pop("ids"))), saved.pop("offsets"), saved)
    step, acknowledged = 0, False
    while not acknowledged:
        folder = work / f"killed{step}"
        child = os.fork()
        if not child:
            die_at(step, folder)
            FeatureStore.open(folder, spec).write(rows)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status not in (0, signal.SIGKILL):
            raise SystemExit(f"step {step} ended with status {status}")
        acknowledged = status == 0
        sys.stdout.write(json.dumps({"folder": folder.name, "acknowledged": acknowledged}) + "\n")
        step += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
