"""Commits, compactions and collections that are killed, or whose I/O fails: whole parts or none, and no row lost."""

import errno
from pathlib import Path

import pytest

from cry_pipeline.features.store.checking import verify
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.garbage import collect_garbage
from cry_pipeline_tests.faults.actors import OPERATIONS
from cry_pipeline_tests.faults.rows import open_store, rows_of, wrong_rows

NAMES = frozenset("abcde")
BEFORE = frozenset("abc")
"""What :func:`actors.prepare` acknowledged; :func:`actors.operate` writes the others."""


def judge(folder: Path, *, done: bool, operation: str) -> int:
    """Check the store that was left; return 1 where the operation's rows are there."""
    store = open_store(folder)
    there = store.recording_ids()
    assert there in (BEFORE, NAMES), folder
    assert not done or operation != "write" or there == NAMES
    assert wrong_rows(store, there) == 0
    assert set(verify(store).faults) <= {"feature_set.json"}
    assert store.recording_ids() == there
    return int(there == NAMES)


def judge_all(work: Path, outcomes: list[dict], operation: str) -> int:
    """Check all stores that were left, and that what was left is in nobody's way; return how often rows came in."""
    whole = sum(judge(work / told["folder"], done=told["acknowledged"], operation=operation) for told in outcomes)
    for told in outcomes[:: max(1, len(outcomes) // 8)]:
        store = open_store(work / told["folder"])
        store.write(rows_of(["d", "e"]))
        compact(store)
        collect_garbage(store, readers_s=0, dry_run=False)
        assert wrong_rows(open_store(work / told["folder"]), NAMES) == 0
    return whole


@pytest.mark.parametrize("operation", OPERATIONS)
def test_kill_at_every_step(operation: str, act, counted, full: bool, tmp_path: Path) -> None:
    stride = 5 if operation == "compact" and not full else 1
    outcomes = act("killed_at_every_step", tmp_path, operation, stride)
    assert [told["acknowledged"] for told in outcomes] == [False] * (len(outcomes) - 1) + [True]
    whole = judge_all(tmp_path, outcomes, operation)
    counted(kills=len(outcomes) - 1, rows_lost=0, wrong_values=0, half_parts=0)
    assert len(outcomes) * stride > (8 if operation == "gc" else 30)
    if operation == "write":
        assert 1 < whole < len(outcomes)  # also killed between the rename and the acknowledgement


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EMFILE"])
def test_error_at_every_io_call(operation: str, error: str, act, counted, full: bool, tmp_path: Path) -> None:
    if not full and error != "EIO":
        pytest.skip("one error in ordinary tests; all with CRY_PIPELINE_FAULTS=full")
    stride = 1 if full else 3 if operation == "gc" else 12
    outcomes = act("failing_at_every_step", tmp_path, operation, stride, getattr(errno, error))
    judge_all(tmp_path, outcomes, operation)
    refused = sum(not told["acknowledged"] for told in outcomes)
    counted(errors=len(outcomes) - 1, refused=refused, rows_lost=0, wrong_values=0, half_parts=0)
    assert refused > 3


@pytest.mark.parametrize("operation", OPERATIONS)
def test_too_few_file_descriptors(operation: str, act, counted, tmp_path: Path) -> None:
    outcomes = act("few_descriptors", tmp_path, operation)
    judge_all(tmp_path, outcomes, operation)
    counted(limits=len(outcomes), rows_lost=0, wrong_values=0, half_parts=0)
    assert len(outcomes) > 1


def test_kill_at_random_moments(act, counted, full: bool, tmp_path: Path) -> None:
    kills = 100 if full else 6
    told = act("killed_at_random", tmp_path, kills, 1)
    acknowledged = {name for line in told for name in line["acknowledged"]}
    store = open_store(tmp_path)
    assert acknowledged
    assert store.missing(acknowledged) == []
    there = store.recording_ids()
    assert wrong_rows(store, there) == 0
    assert len(there) % 2 == 0  # rows of one commit come together
    assert set(verify(store).faults) <= {"feature_set.json"}
    counted(kills=kills, acknowledged_rows=len(acknowledged), rows_lost=0, wrong_values=0)


def test_writers_compactors_collectors_and_a_reader_together(act, counted, full: bool, tmp_path: Path) -> None:
    writers, commits = (8, 25) if full else (4, 5)
    told = act("together", tmp_path, writers, commits)
    acknowledged = {name for line in told for name in line.get("acknowledged", ())}
    assert len(acknowledged) == writers * commits + commits
    store = open_store(tmp_path)
    assert store.recording_ids() == acknowledged
    assert wrong_rows(store, acknowledged) == 0
    assert verify(store).faults == {}
    sums = {key: sum(line.get(key, 0) for line in told) for key in ("polls", "rows", "compactions", "collected")}
    assert min(sums.values()) > 0, sums
    counted(commits=writers * commits, **sums, rows_lost=0, wrong_values=0, half_parts=0)
