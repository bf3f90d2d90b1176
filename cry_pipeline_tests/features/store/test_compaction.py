"""Compaction: every row in fewer parts, whatever others do meanwhile."""

import pytest

from cry_pipeline.features.store.checking import verify
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.garbage import collect_garbage
from cry_pipeline.features.store.rows import FeatureRows, FeatureStoreError
from cry_pipeline.features.store.snapshots import Snapshot
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.features.store.looks import (
    NOW,
    assert_holds,
    damage,
    files_of,
    folder_of,
    parts_there,
    reopened,
)


def test_compaction_keeps_every_row_in_one_part(store: FeatureStore, many) -> None:
    for rows in many:
        store.write(rows)
    before = store.snapshot()
    report = compact(store)
    assert (report.superseded, len(report.written)) == (5, 1)
    for reader in (store, reopened(store)):
        assert reader.snapshot().parts == report.written
        for rows in many:
            assert_holds(reader, rows)
    then = reopened(store).at(before)
    for rows in many:
        assert_holds(then, rows)
    info = store.info()
    assert (info.parts, info.recordings, info.superseded_parts) == (1, 10, 5)
    assert info.superseded_bytes == sum(p.stat().st_size for name in before.parts for p in files_of(store, name))
    assert verify(store).faults == {}
    assert compact(store).written == ()  # nothing more to do


def test_compacted_parts_are_not_larger_than_asked_for_and_compaction_comes_to_an_end(
    store: FeatureStore, many
) -> None:
    for rows in many:
        store.write(rows)
    target = int(2.5 * max(rows.nbytes for rows in many))
    report = compact(store, target)
    assert len(report.written) > 1
    # Which of them fit together depends on the parts' names, and these on chance.
    assert sum(rows.nbytes for rows in many) / target <= store.info().parts < len(many)
    assert all(part.nbytes <= target for part in store.index.visible.values())
    for _ in range(3):
        report = compact(store, target)
    assert report.written == ()
    for rows in many:
        assert_holds(store, rows)


def test_row_written_twice_stays_the_one_that_readers_took(store: FeatureStore, make_rows) -> None:
    for seed in range(4):
        store.write(make_rows(seed, a=3 + seed, **{f"own{seed}": 2}))
    before = store.read(["a"], store.kinds)
    compact(store)
    assert_holds(reopened(store), before)


def test_bad_compacted_part_is_set_aside_and_its_sources_are_seen_again(store: FeatureStore, many) -> None:
    for rows in many:
        store.write(rows)
    (compacted,) = compact(store).written
    damage(store, compacted)
    with pytest.raises(FeatureStoreError, match=compacted):
        store.read(["r0"], ["mel"])
    assert list(verify(store).faults) == [compacted]
    for rows in many:
        assert_holds(reopened(store), rows)


def test_bad_source_is_never_copied(store: FeatureStore, many) -> None:
    names = [store.write(rows) for rows in many]
    damage(store, names[2])
    with pytest.raises(FeatureStoreError, match=names[2]):
        compact(store)
    assert parts_there(store) == set(names)


def test_two_compactions_and_a_writer_at_a_time_lose_nothing(store: FeatureStore, many, make_rows) -> None:
    for rows in many[:4]:
        store.write(rows)
    one, other = reopened(store), reopened(store)
    commit = one.commit

    def meanwhile(rows: FeatureRows, supersedes=(), made_by=()) -> str:
        other.write(many[4])
        compact(other)
        return commit(rows, supersedes, made_by)

    one.commit = meanwhile
    compact(one)
    assert reopened(store).info().parts == 2
    for reader in (store, one, other):
        for rows in many:
            assert_holds(reader, rows)
    compact(store)
    assert len(store.snapshot().parts) == 1
    for rows in many:
        assert_holds(reopened(store), rows)


def test_compaction_goes_on_when_another_was_quicker(store: FeatureStore, many) -> None:
    for rows in many:
        store.write(rows)
    slow, quick = reopened(store), reopened(store)
    slow.index.refresh()
    at = slow.at

    def too_late(snapshot: Snapshot) -> FeatureStore:
        compact(quick)
        collect_garbage(quick, readers_s=NOW, dry_run=False)
        return at(snapshot)

    slow.at = too_late
    assert compact(slow).written == ()
    for rows in many:
        assert_holds(slow, rows)


def test_rows_that_two_runs_at_once_wrote_twice_are_kept_once_however_large_their_parts(
    store: FeatureStore, make_rows
) -> None:
    rows = [make_rows(seed, **{f"r{seed}-{index}": 40 for index in range(4)}) for seed in range(6)]
    target = rows[0].nbytes  # so that no part is small
    for each in rows:
        store.write(each)
    once = store.info().bytes
    for each in rows:
        reopened(store).write(each)
    assert store.info().bytes == pytest.approx(2 * once, rel=0.01)
    before = store.read(sorted(store.recording_ids()), store.kinds)
    report = compact(store, target)
    assert report.superseded == 12
    assert store.info().bytes == pytest.approx(once, rel=0.01)
    collect_garbage(store, readers_s=NOW, dry_run=False)
    assert sum(path.stat().st_size for path in folder_of(store).rglob("*") if path.is_file()) < 1.1 * once
    assert_holds(reopened(store), before)
    assert compact(store, target).written == ()


def test_parts_that_overlap_in_a_chain_become_parts_of_the_size_asked_for(store: FeatureStore, make_rows) -> None:
    names = [f"r{index}" for index in range(12)]
    for first in range(0, 10, 2):  # r0 to r3, r2 to r5, …: each but the ends in two parts
        store.write(make_rows(first, **dict.fromkeys(names[first : first + 4], 40)))
    before = store.read(names, store.kinds)
    target = before.nbytes // 3
    report = compact(store, target)
    assert (report.superseded, len(report.written)) == (5, 3)
    assert store.info().parts == 3
    assert all(part.nbytes <= target for part in store.index.visible.values())
    assert sum(len(part.rows) for part in store.index.visible.values()) == 12
    for reader in (store, reopened(store)):
        assert_holds(reader, before)
    collect_garbage(store, readers_s=NOW, dry_run=False)
    assert parts_there(store) == set(report.written)
    assert_holds(reopened(store), before)


def test_compaction_that_dies_among_its_parts_has_lost_and_hidden_nothing(
    store: FeatureStore, make_rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        store.write(make_rows(seed, **{f"r{index}": 40 for index in range(9)}))
    before = store.read(sorted(store.recording_ids()), store.kinds)
    publish, calls = store.storage.publish, []

    def dying(*arguments) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        publish(*arguments)

    monkeypatch.setattr(store.storage, "publish", dying)
    with pytest.raises(KeyboardInterrupt):
        compact(store, before.nbytes // 3)
    monkeypatch.undo()
    assert reopened(store).info().parts == 3
    collect_garbage(store, readers_s=NOW, dry_run=False)
    assert set(store.recording_ids()) == set(before.recording_ids)
    compact(store, before.nbytes // 3)
    collect_garbage(store, readers_s=NOW, dry_run=False)
    assert store.info().superseded_parts == 0
    assert sum(len(part.rows) for part in store.index.visible.values()) == 9
