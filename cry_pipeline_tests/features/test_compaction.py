"""Compaction: every row in fewer parts, whatever others do meanwhile."""

import pytest

from cry_pipeline.features.rows import FeatureRows, FeatureStoreError
from cry_pipeline.features.snapshots import Snapshot
from cry_pipeline.features.store import FeatureStore
from cry_pipeline_tests.features.looks import NOW, assert_holds, damage, files_of, parts_there, reopened


def test_compaction_keeps_every_row_in_one_part(store: FeatureStore, many) -> None:
    for rows in many:
        store.write(rows)
    before = store.snapshot()
    report = store.compact()
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
    assert store.verify().faults == {}
    assert store.compact().written == ()  # nothing more to do


def test_compacted_parts_are_not_larger_than_asked_for_and_compaction_comes_to_an_end(
    store: FeatureStore, many
) -> None:
    for rows in many:
        store.write(rows)
    target = int(2.5 * max(rows.nbytes for rows in many))
    report = store.compact(target)
    assert len(report.written) > 1
    assert all(part.nbytes <= target for part in store.index.visible.values())
    for _ in range(3):
        report = store.compact(target)
    assert report.written == ()
    for rows in many:
        assert_holds(store, rows)


def test_row_written_twice_stays_the_one_that_readers_took(store: FeatureStore, make_rows) -> None:
    for seed in range(4):
        store.write(make_rows(seed, a=3 + seed, **{f"own{seed}": 2}))
    before = store.read(["a"], store.kinds)
    store.compact()
    assert_holds(reopened(store), before)


def test_bad_compacted_part_is_set_aside_and_its_sources_are_seen_again(store: FeatureStore, many) -> None:
    for rows in many:
        store.write(rows)
    (compacted,) = store.compact().written
    damage(store, compacted)
    with pytest.raises(FeatureStoreError, match=compacted):
        store.read(["r0"], ["mel"])
    assert list(store.verify().faults) == [compacted]
    for rows in many:
        assert_holds(reopened(store), rows)


def test_bad_source_is_never_copied(store: FeatureStore, many) -> None:
    names = [store.write(rows) for rows in many]
    damage(store, names[2])
    with pytest.raises(FeatureStoreError, match=names[2]):
        store.compact()
    assert parts_there(store) == set(names)


def test_two_compactions_and_a_writer_at_a_time_lose_nothing(store: FeatureStore, many, make_rows) -> None:
    for rows in many[:4]:
        store.write(rows)
    one, other = reopened(store), reopened(store)
    commit = one.commit

    def meanwhile(rows: FeatureRows, supersedes=()) -> str:
        other.write(many[4])
        other.compact()
        return commit(rows, supersedes)

    one.commit = meanwhile
    one.compact()
    assert len(reopened(store).snapshot().parts) == 2
    for reader in (store, one, other):
        for rows in many:
            assert_holds(reader, rows)
    store.compact()
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
        quick.compact()
        quick.collect_garbage(readers_s=NOW, dry_run=False)
        return at(snapshot)

    slow.at = too_late
    assert slow.compact().written == ()
    for rows in many:
        assert_holds(slow, rows)
