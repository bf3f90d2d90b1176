"""Garbage collection: what may go, and what stays readable."""

import os
import time
from datetime import UTC, datetime

import numpy as np
import pytest

from cry_pipeline.features.store import reading
from cry_pipeline.features.store.checking import verify
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.folder_storage import FolderStorage
from cry_pipeline.features.store.garbage import collect_garbage, collect_unlisted
from cry_pipeline.features.store.rows import FeatureStoreError
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
from cry_pipeline_tests.stated import Stated


def test_garbage_is_what_was_superseded_longer_ago_than_any_reader_began(store: FeatureStore, many) -> None:
    for rows in many:
        store.write(rows)
    assert collect_garbage(store, readers_s=NOW).bytes_by_path == {}
    sources = store.snapshot().parts
    (compacted,) = compact(store).written
    assert collect_garbage(store, dry_run=False).bytes_by_path == {}  # superseded less than a day ago
    told = collect_garbage(store, readers_s=NOW)
    assert set(told.bytes_by_path) == {f"parts/{name}" for name in sources}
    assert told.bytes == sum(path.stat().st_size for name in sources for path in files_of(store, name))
    assert not told.removed
    assert parts_there(store) == {*sources, compacted}  # by default nothing is removed
    assert collect_garbage(store, readers_s=NOW, dry_run=False).removed
    assert parts_there(store) == {compacted}
    assert list((folder_of(store) / "tmp").iterdir()) == []
    for rows in many:
        assert_holds(store, rows)


def test_parts_of_a_recorded_snapshot_stay_readable(store: FeatureStore, many) -> None:
    for rows in many[:3]:
        store.write(rows)
    recorded = store.snapshot()
    compact(store)
    for rows in many[3:]:
        store.write(rows)
    compact(store)  # supersedes a part that supersedes others
    collect_garbage(store, recorded.parts, readers_s=NOW, dry_run=False)
    assert parts_there(store) == {*recorded.parts, *store.snapshot().parts}
    assert len(store.snapshot().parts) == 1  # and does not bring back what the one in between superseded
    for rows in many[:3]:
        assert_holds(store.at(recorded), rows)
    collect_garbage(store, readers_s=NOW, dry_run=False)
    with pytest.raises(FeatureStoreError, match="of the snapshot is not here any more"):
        store.at(recorded).read(["r0"], ["mel"])


def test_part_superseded_twice_is_as_old_as_the_first_time(
    store: FeatureStore, many, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rows in many[:2]:
        store.write(rows)
    sources = store.snapshot().parts
    with monkeypatch.context() as patch:
        patch.setattr("cry_pipeline.features.store.encoding.datetime", YearsAgo)
        compact(store)
    for rows in many[2:]:
        store.write(rows)
        compact(store)
    assert set(collect_garbage(store).bytes_by_path) == {f"parts/{name}" for name in sources}


class YearsAgo(datetime):
    """A clock that is behind."""

    @classmethod
    def now(cls, tz=None) -> datetime:
        return datetime(2020, 1, 1, tzinfo=UTC)


def test_nothing_is_removed_in_favour_of_a_damaged_part(store: FeatureStore, many) -> None:
    for rows in many:
        store.write(rows)
    (compacted,) = compact(store).written
    damage(store, compacted)
    assert collect_garbage(store, readers_s=NOW, dry_run=False).bytes_by_path == {}
    verify(store)
    for rows in many:
        assert_holds(store, rows)


def test_leftovers_are_garbage_only_when_old(store: FeatureStore, make_rows) -> None:
    store.write(make_rows(a=3))
    for name, age_h in (("old", 25), ("young", 1)):
        left = folder_of(store) / "tmp" / name
        left.mkdir()
        (left / "file").write_bytes(b"12345")
        then = time.time() - age_h * 3600
        os.utime(left, (then, then))
    assert collect_garbage(store).bytes_by_path == {"tmp/old": 5}
    collect_garbage(store, dry_run=False)
    assert [path.name for path in (folder_of(store) / "tmp").iterdir()] == ["young"]


def test_reader_goes_on_when_a_part_is_removed_under_it(
    store: FeatureStore, many, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rows in many:
        store.write(rows)
    reader = reopened(store)
    gather, calls = reading._gathered, []

    def removed_meanwhile(kind: str, *rest) -> np.ndarray:
        calls.append(kind)
        if len(calls) == 2:  # between two arrays of one read
            compact(store)
            collect_garbage(store, readers_s=NOW, dry_run=False)
        return gather(kind, *rest)

    monkeypatch.setattr(reading, "_gathered", removed_meanwhile)
    for rows in many:
        assert_holds(reader, rows)
    assert calls[:3] == ["spectrogram", "mel", "spectrogram"]  # the whole read again, not the rest of it


def test_part_collected_while_it_is_verified_is_no_fault(
    store: FeatureStore, many, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rows in many:
        store.write(rows)
    (compacted,) = compact(store).written
    other = reopened(store)
    names = other.index.names()
    monkeypatch.setattr(other.index, "names", lambda: names)
    collect_garbage(store, readers_s=NOW, dry_run=False)
    assert verify(other).faults == {}
    assert parts_there(store) == {compacted}


def test_feature_sets_of_no_catalog_and_no_run_can_be_removed(store: FeatureStore, make_rows) -> None:
    old = FeatureStore.open(folder_of(store).parent, store.spec.model_copy(update={"floor_db": -80.0})).of(Stated())
    for each in (store, old):
        each.write(make_rows(a=3))
    uri = FolderStorage(folder_of(store).parent)
    assert collect_unlisted(uri, {store.digest}).bytes_by_path == {}  # written to a moment ago
    told = collect_unlisted(uri, {store.digest}, NOW)
    assert list(told.bytes_by_path) == [old.digest]
    assert old.recording_ids() == {"a"}
    assert collect_unlisted(uri, {store.digest, old.digest}, NOW).bytes_by_path == {}
    collect_unlisted(uri, {store.digest}, NOW, dry_run=False)
    assert not folder_of(old).exists()
    assert store.recording_ids() == {"a"}
    with pytest.raises(FeatureStoreError, match="no feature set is to be kept"):
        collect_unlisted(uri, set())
