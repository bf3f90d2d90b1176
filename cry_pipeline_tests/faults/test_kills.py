"""`cry-pipeline run`, killed at random moments over all its stages and run to its end: as if nothing had happened.

With `make faults`.
"""

import itertools
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from cry_pipeline_tests.faults.conftest import FULL
from cry_pipeline_tests.faults.contents import contents
from cry_pipeline_tests.faults.test_processes import COMMAND, MINUTES, Place, descendants, place_at
from cry_pipeline_tests.processes import is_alive, wait_until

pytestmark = pytest.mark.skipif(not FULL, reason="half an hour; with CRY_PIPELINE_FAULTS=full")
KILLS = int(os.environ.get("KILLS", "50"))
EXPERIMENTS = {
    "cleaned_majority_donor_grouped",
    "curation_lfeb_attention_lstm_donor_grouped",
    "curation_svm_covariance_donor_grouped",
}
CHAMPION = "curation_svm_covariance_donor_grouped"
DONE = re.compile(r"INFO +(\S+/\S+): computed=")
LEAST_S = 0.5


class Watched:
    """A run, and which of its assets are done."""

    def __init__(self, place: Place) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "run"], env=place.environment, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.began, self.done, self.said = time.monotonic(), dict[str, float](), list[str]()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.said.append(line)
                if match := DONE.search(line):
                    self.done[match[1]] = time.monotonic() - self.began

    def end(self) -> dict[str, float]:
        """Wait for its end, which is to be a good one; return when each asset was done."""
        assert self.process.wait(20 * MINUTES) == 0, "".join(self.said)
        self._reader.join()
        return self.done

    def kill(self, *, group: bool) -> set[int]:
        """Kill it, alone or with all that it started; return these."""
        family = descendants(self.process.pid)
        (os.killpg if group else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(MINUTES)
        return family


def test_kills_over_all_stages_change_nothing(tmp_path: Path, counted) -> None:
    undisturbed = place_at(tmp_path / "undisturbed", EXPERIMENTS, CHAMPION)
    done = Watched(undisturbed).end()
    expected = contents(undisturbed.settings)
    assert any(name.startswith("models/champions/") for name in expected)
    moments, killed, left = random.Random(12), Counter[str](), 0  # noqa: S311
    gaps = [(None, next(iter(done)), min(done.values())), *_gaps(done)]
    place, turns = undisturbed, 0
    for number, (before, at, lasts_s) in enumerate(itertools.cycle(gaps)):
        if before is None:
            _judge(place, expected)
            if killed.total() >= KILLS:
                break
            turns += 1
            place = place_at(tmp_path / f"turn {turns}", EXPERIMENTS, CHAMPION)
        run = Watched(place)
        if before is not None:
            wait_until(partial(run.done.get, before), f"{before} is done", 5 * MINUTES)
        time.sleep(moments.uniform(0, max(lasts_s, LEAST_S)))
        if run.process.poll() is not None:
            run.end()  # it was faster, what was done before being done
            continue
        family = run.kill(group=number % 2 == 0)
        killed[at.partition("/")[0]] += 1
        until = time.monotonic() + 10
        while any(map(is_alive, family)) and time.monotonic() < until:
            time.sleep(0.2)
        left += sum(map(is_alive, family))
    counted(kills=killed.total(), turns=turns, **killed, digests=len(expected), digests_unequal=0, processes_left=left)
    assert left == 0


def _gaps(done: dict[str, float]) -> list[tuple[str, str, float]]:
    """After which asset, during which one, and how long that took."""
    return [(before, at, done[at] - done[before]) for before, at in itertools.pairwise(done)]


def _judge(place: Place, expected: dict[str, str]) -> None:
    """Run to the end, and compare."""
    Watched(place).end()
    found = contents(place.settings)
    assert {name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)} == set()
