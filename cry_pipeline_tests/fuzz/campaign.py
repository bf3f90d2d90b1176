"""Many damaged inputs through the targets, in a process that may crash, hang or grow, with all of it counted.

Belongs here: watching the process, counting, and keeping what failed. Does not: what is read (targets.py).

Input number n of a target is a pure function of the campaign's seed, the target and n, given the seeds: so a process
that died needs to say only how far it came.
"""

import contextlib
import logging
import multiprocessing
import random
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from cry_pipeline_tests.fuzz.mutating import damaged
from cry_pipeline_tests.fuzz.targets import TARGETS, Target

LIMIT_S = 60.0
"""An input takes milliseconds, and on a busy machine seconds; whatever limit the decoder has must come first."""
MOST_MB = 1000
"""By which the process may grow: the longest recording has 230 MB as float32, and twice that where it is mixed."""
UNTOUCHED = 0.04
"""Share of inputs that are whole files, which may be in another's place."""


@dataclass
class Tally:
    """What came of a target's inputs."""

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """Of those that broke no rule."""
    crashes: int = 0
    hangs: int = 0
    undocumented: int = 0
    """Errors of other kinds, results that are none, and memory over the limit."""
    peak_mb: float = 0.0
    findings: list[str] = field(default_factory=list)


@dataclass
class Campaign:
    """Inputs ``0 … count - 1`` of each target in ``counts``; what breaks a rule goes to the folder ``findings``."""

    counts: Mapping[str, int]
    seed: int
    findings: Path
    targets: Mapping[str, Target] = field(default_factory=lambda: TARGETS)
    limit_s: float = LIMIT_S
    most_mb: float = MOST_MB

    def __post_init__(self) -> None:
        """Make the seeds: all processes have the same ones."""
        self.tallies = {target: Tally() for target in self.counts}
        self.seeds = {target: self.targets[target].make_seeds() for target in self.counts}

    def run(self) -> Iterator[str]:
        """Read all inputs; yields the target of each one that is done."""
        plan = [(target, number) for target, count in self.counts.items() for number in range(count)]
        while plan:
            with tempfile.TemporaryDirectory() as scratch:
                done = 0
                for target in self._one_process(plan, scratch):
                    done += 1
                    yield target
                plan = plan[done:]

    def input(self, target: str, number: int) -> tuple[str, bytes]:
        """Return the label of the seed that an input was made of, and the input."""
        files = self.seeds[target]
        rng = random.Random(f"{self.seed}/{target}/{number}")  # noqa: S311 - to be repeated, not secret
        label = rng.choice(sorted(files))
        if rng.random() < UNTOUCHED:
            return label, files[rng.choice(sorted(files))]
        return label, damaged(files[label], list(files.values()), rng)

    def _one_process(self, plan: Sequence[tuple[str, int]], scratch: str) -> Iterator[str]:
        """Have a process read inputs until they are done, or one of them ends it."""
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=_read_all, args=(self, plan, there, scratch))
        process.start()
        there.close()
        try:
            here.recv()  # it has begun
            for target, number in plan:
                ended = self._one_input(target, number, here, process)
                yield target
                if ended:
                    return
        finally:
            here.close()
            process.kill()
            process.join()

    def _one_input(self, target: str, number: int, here: Connection, process: BaseProcess) -> bool:
        """Count what comes of one input; return whether it ended the process."""
        tally = self.tallies[target]
        tally.inputs += 1
        try:
            if here.poll(self.limit_s):
                broken, words, peak_mb = here.recv()
                tally.peak_mb = max(tally.peak_mb, peak_mb)
                tally.undocumented += broken
                if broken:
                    tally.findings.append(self._keep(target, number, words))
                else:
                    tally.outcomes[words] += 1
                return False
            tally.hangs += 1
            words = f"takes more than {self.limit_s:.0f} s"
        except EOFError:
            process.join()
            tally.crashes += 1
            words = f"ends the process with {process.exitcode}"
        tally.findings.append(self._keep(target, number, words))
        return True

    def _keep(self, target: str, number: int, words: str) -> str:
        """Write an input and what it did; return that, and how to do it again."""
        label, data = self.input(target, number)
        self.findings.mkdir(parents=True, exist_ok=True)
        path = self.findings / f"{target}--{label.replace('/', '+')}--{self.seed}-{number}"
        path.write_bytes(data)
        path.with_name(f"{path.name}.txt").write_text(words, encoding="utf-8", errors="backslashreplace")
        last = words.strip().splitlines()[-1]
        return f"{target}, input {number}: {last}\n    python -m cry_pipeline_tests.fuzz --replay '{path}'"


def replay(path: Path, targets: Mapping[str, Target] = TARGETS) -> str:
    """Read a kept input once more, in this process, and return what comes of it."""
    target, label, _ = path.name.split("--", 2)
    with tempfile.TemporaryDirectory() as scratch:
        return targets[target].read(label.replace("+", "/"), path.read_bytes(), Path(scratch))


def _read_all(campaign: Campaign, plan: Sequence[tuple[str, int]], parent: Connection, scratch: str) -> None:
    logging.getLogger("cry_pipeline").setLevel(logging.CRITICAL)
    limit_mb = peak_mb() + campaign.most_mb
    parent.send("begun")
    for target, number in plan:
        label, data = campaign.input(target, number)
        folder, broken = Path(scratch, target), False
        folder.mkdir(exist_ok=True)
        try:
            words = campaign.targets[target].read(label, data, folder)
        except BaseException:
            broken, words = True, traceback.format_exc()
        peak = peak_mb()
        if peak > limit_mb:
            broken, words, limit_mb = True, f"takes {peak:.0f} MB, more than {limit_mb:.0f}", peak
        parent.send((broken, words, peak))


def peak_mb() -> float:
    """Return the most memory that this process, or a child of it that is running, has had, in MB; Linux alone tells."""
    children = (path.read_text().split() for path in Path("/proc/self/task").glob("*/children"))
    return max(map(_peak_mb, ["self", *(pid for pids in children for pid in pids)]))


def _peak_mb(pid: str) -> float:
    with contextlib.suppress(OSError, StopIteration):  # not Linux; or it has ended
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    return 0.0
