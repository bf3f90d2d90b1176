"""What workers are given to do in tests; importable by name, as a worker has to find it."""

import logging
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

from cry_pipeline import progress

LOG = logging.getLogger("cry_pipeline")


class Report(NamedTuple):
    """Who did it."""

    pid: int
    shows_progress: bool


class AskedForError(Exception):
    """Cannot be made anew from what ``Exception`` keeps of it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")


def work(task: str) -> Report:
    """Behave as the task says."""
    if task == "fails":
        raise ValueError("what the work said")
    if task == "fails oddly":
        raise AskedForError("odd", "what the work said")
    if task == "says":
        LOG.warning("what the %s said", "work")
        LOG.debug("what nobody asks for")
    if task == "says too much":
        for number in range(700):
            LOG.info("line %s", number)
    if task == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "lasts":
        time.sleep(60)
    return Report(os.getpid(), not progress._hidden)


def dies_at_first(folder: Path, name: str) -> str:
    """End the process that does it, but for those items of which ``folder`` says that it has been so."""
    mark = folder / name
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return name
