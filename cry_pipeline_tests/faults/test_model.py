"""Any order of writing, crashing, compacting, collecting, verifying and reopening: what was acknowledged is there."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cry_pipeline.features.store.checking import verify
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.garbage import collect_garbage
from cry_pipeline.features.store.snapshots import Snapshot
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.faults.rows import open_store, rows_of, wrong_rows
from cry_pipeline_tests.faults.steps import Countdown, at_each_step

NAMES = st.sets(st.sampled_from("abcdefgh"), min_size=1, max_size=3)
STEPS = st.integers(0, 95)


class Crash(BaseException):
    """The process is dead: no step of it takes place any more, clearing up included."""


def crash() -> None:
    """Be dead."""
    raise Crash


class Machine(RuleBasedStateMachine):
    """A store, what was acknowledged to be in it, and the snapshots that runs recorded."""

    counts: dict[str, int]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = open_store(self.folder)
        self.acknowledged: set[str] = set()
        self.attempted: set[str] = set()
        self.recorded: list[tuple[Snapshot, set[str]]] = []

    def _until(self, step: int | None, act: Callable[[FeatureStore], object]) -> bool:
        """Let a process do ``act``, which dies at ``step``; return whether it lived."""
        if step is None:
            act(self.store)
            return True
        countdown = Countdown(step, crash, forever=True)
        try:
            with at_each_step(self.folder, countdown):
                act(open_store(self.folder))
        except Crash:
            self.counts["crashes"] += 1
        return not countdown.reached

    @rule(names=NAMES, step=st.none() | STEPS)
    def write(self, names: set[str], step: int | None) -> None:
        self.attempted |= names
        if self._until(step, lambda store: store.write(rows_of(sorted(names)))):
            self.acknowledged |= names

    @rule(step=st.none() | STEPS, target_bytes=st.sampled_from([5_000, 20_000, 2**27]))
    def compact(self, step: int | None, target_bytes: int) -> None:
        self._until(step, lambda store: compact(store, target_bytes))

    @rule(step=st.none() | st.integers(0, 12))
    def collect_garbage(self, step: int | None) -> None:
        keep = {part for snapshot, _ in self.recorded for part in snapshot.parts}
        self._until(step, lambda store: collect_garbage(store, keep, readers_s=0, dry_run=False))

    @rule()
    def record_a_run(self) -> None:
        self.recorded.append((self.store.snapshot(), self.store.recording_ids()))

    @rule()
    def forget_the_oldest_run(self) -> None:
        del self.recorded[:1]

    @rule()
    def verify(self) -> None:
        assert set(verify(self.store).faults) <= {"feature_set.json"}

    @rule()
    def reopen(self) -> None:
        self.store = open_store(self.folder)

    @invariant()
    def holds_what_was_acknowledged(self) -> None:
        self.counts["states"] += 1
        there = self.store.recording_ids()
        assert self.acknowledged <= there <= self.attempted
        assert wrong_rows(self.store, there) == 0

    @invariant()
    def recorded_runs_can_be_read_again(self) -> None:
        for snapshot, names in self.recorded:
            then = self.store.at(snapshot)
            assert then.recording_ids() == names
            assert wrong_rows(then, names) == 0

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


def test_store_is_as_its_model(full: bool, counted) -> None:
    Machine.counts = {"states": 0, "crashes": 0}
    examples, steps = (150, 30) if full else (8, 15)
    limits = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=not full, database=None
    )
    run_state_machine_as_test(Machine, settings=limits)
    counted(**Machine.counts, rows_lost=0, wrong_values=0)
    assert min(Machine.counts.values()) > 0
