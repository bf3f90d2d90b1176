import json
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from cry_pipeline import artefacts
from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds import feature_set_digest
from cry_pipeline.features.store.checking import verify
from cry_pipeline.features.store.folder_storage import FolderStorage
from cry_pipeline.features.store.rows import FeatureRows, FeatureStoreError
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.storage.bucket import PlaceError
from cry_pipeline_tests.features.store.looks import folder_of, reopened
from cry_pipeline_tests.stated import Stated


def assert_holds(store: FeatureStore, rows: FeatureRows) -> None:
    """``store`` gives back exactly ``rows``."""
    read = store.read(rows.recording_ids, store.kinds)
    np.testing.assert_array_equal(read.offsets, rows.offsets)
    for kind, array in rows.arrays.items():
        assert read.arrays[kind].dtype == array.dtype
        np.testing.assert_array_equal(read.arrays[kind], array, err_msg=kind)


def test_what_is_written_is_read_by_another_reader(store: FeatureStore, make_rows) -> None:
    rows = make_rows(a=3, b=1, c=2000)  # c has more frames than a chunk
    store.write(rows)
    reader = reopened(store)
    assert_holds(reader, rows)
    assert reader.recording_ids() == {"a", "b", "c"}


def test_rows_come_in_the_order_asked_for_across_parts(store: FeatureStore, make_rows) -> None:
    parts = [make_rows(1, a=3, b=9, c=4, d=5), make_rows(2, e=2, f=7), make_rows(3, g=6)]
    for rows in parts:
        store.write(rows)
    asked = ["f", "d", "a", "g", "c", "a"]  # twice the same, and rows of a part that are no neighbours
    read = store.read(asked, ["mel", "statistics"])
    assert read.recording_ids == tuple(asked)
    assert set(read.arrays) == {"mel", "statistics"}
    expected = {name: (rows, index) for rows in parts for index, name in enumerate(rows.recording_ids)}
    for position, name in enumerate(asked):
        rows, index = expected[name]
        for kind in read.arrays:
            np.testing.assert_array_equal(read.of(kind, position), rows.of(kind, index))


def test_nothing_can_be_read_as_no_rows(store: FeatureStore) -> None:
    read = store.read([], store.kinds)
    assert len(read) == 0
    assert read.arrays["mel"].shape == (0, 8)
    assert store.recording_ids() == set()
    assert not folder_of(store).exists()  # looking makes nothing


def test_missing_keeps_order_and_sees_other_writers(store: FeatureStore, make_rows) -> None:
    assert store.missing(["b", "a"]) == ["b", "a"]
    reopened(store).write(make_rows(a=3))
    assert store.missing(["c", "a", "b"]) == ["c", "b"]


def test_recordings_and_arrays_that_are_not_there_are_named(store: FeatureStore, make_rows) -> None:
    store.write(make_rows(a=3))
    with pytest.raises(FeatureStoreError, match="1 of 2 recordings have no features here, among them x;"):
        store.read(["a", "x"], ["mel"])
    with pytest.raises(FeatureStoreError, match="no array chroma; a feature set holds spectrogram, mel"):
        store.read(["a"], ["chroma"])


@pytest.mark.parametrize(
    ("uri", "what"),
    [("gs://bucket/features", "not under gs://"), ("s3://", "names no bucket"), ("s3:///x", "no bucket")],
)
def test_a_store_that_cannot_be_is_refused(spec: FeatureSetSpec, uri: str, what: str) -> None:
    with pytest.raises(PlaceError, match=what):
        FeatureStore.open(uri, spec)


def test_feature_sets_lie_apart(store: FeatureStore, make_rows) -> None:
    store.write(make_rows(a=3))
    other = FeatureStore.open(folder_of(store).parent, store.spec.model_copy(update={"floor_db": -80.0})).of(Stated())
    assert other.recording_ids() == set()
    about = json.loads((folder_of(store) / "feature_set.json").read_text())
    assert about["feature_set"] == store.digest == feature_set_digest(store.spec)
    assert about["spec"]["parameters"]["floor_db"] == -100


def test_data_version_is_of_the_rows_and_not_of_who_wrote_them(store: FeatureStore, make_rows) -> None:
    before = store.data_version(["b", "a"])
    store.write(make_rows(a=3, b=2))
    assert store.data_version(["a", "b"]) == before == store.data_version(iter(["a", "b", "b"]))
    assert store.data_version(["a"]) != before
    other = FeatureStore.open(folder_of(store).parent, store.spec.model_copy(update={"floor_db": -80.0})).of(Stated())
    assert other.data_version(["a", "b"]) != before


def test_snapshot_and_info_tell_what_is_there(store: FeatureStore, make_rows) -> None:
    assert store.snapshot().parts == ()
    names = [store.write(make_rows(a=3)), store.write(make_rows(1, b=4, c=2))]
    assert store.snapshot().parts == tuple(sorted(names))
    info = store.info()
    assert (info.digest, info.recordings, info.parts) == (store.digest, 3, 2)
    assert info.bytes == sum(path.stat().st_size for path in (folder_of(store) / "parts").rglob("*") if path.is_file())


def test_rows_that_do_not_fit_leave_nothing_behind(store: FeatureStore, make_rows) -> None:
    rows = make_rows(a=3)
    rows.arrays["mel"][0, 0] = np.nan
    with pytest.raises(FeatureStoreError, match="not finite"):
        store.write(rows)
    assert not folder_of(store).exists()


def test_every_reader_takes_the_same_of_equal_rows(store: FeatureStore, make_rows) -> None:
    written = {store.write(rows): rows for rows in (make_rows(seed, a=3 + seed) for seed in range(6))}
    first = min(written)
    assert_holds(store, written[first])
    assert_holds(reopened(store), written[first])
    # When the part that they were taken from is bad, those of the next one are as good.
    (folder_of(store) / "parts" / first / "mel" / "c.0.0").unlink()
    verify(store)
    assert_holds(store, written[sorted(written)[1]])


def test_two_writers_at_a_time_lose_nothing(store: FeatureStore, make_rows) -> None:
    expected = {
        f"{writer}-{turn}": make_rows(turn, **{f"r{turn}": 3, f"w{writer}t{turn}": 4})
        for writer in "ab"
        for turn in range(4)
    }
    faults = []

    def write(writer: str) -> None:
        try:
            own = reopened(store)
            for turn in range(4):
                own.write(expected[f"{writer}-{turn}"])
        except FeatureStoreError as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    for rows in expected.values():
        assert_holds(store, rows)
    assert verify(store).faults == {}


def test_leavings_of_a_dead_writer_are_ignored_and_in_time_removed(store: FeatureStore, make_rows) -> None:
    store.write(make_rows(a=3))
    old, young = folder_of(store) / "tmp" / "old", folder_of(store) / "tmp" / "young"
    for left in (old, young):
        shutil.copytree(folder_of(store) / "parts" / store.snapshot().parts[0], left)
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    assert store.snapshot() == reopened(store).snapshot()
    store.write(make_rows(b=3))
    assert not old.exists()
    assert young.exists()
    assert len(store.snapshot().parts) == 2


def test_a_write_that_fails_leaves_nothing_visible(
    store: FeatureStore, make_rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(make_rows(a=3))
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.write(make_rows(b=3))
    assert store.recording_ids() == {"a"}
    assert list((folder_of(store) / "tmp").iterdir()) == []


def test_everything_is_on_the_disk_before_it_is_visible(
    store: FeatureStore, make_rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    at_rename: list[tuple[set[str], set[str]]] = []
    fsync, rename = os.fsync, Path.rename

    def note_sync(descriptor: int) -> None:
        synced.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def note_rename(source: Path, target: Path) -> Path:
        if target.parent.name == "parts":
            there = {str(source), *(str(path) for path in source.rglob("*"))}
            at_rename.append((there, set(synced)))
            synced.clear()
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "rename", note_rename)
    store.write(make_rows(a=3))
    there, before = at_rename[0]
    assert there <= before
    assert str(folder_of(store) / "parts") in synced
    assert {str(folder_of(store)), str(folder_of(store).parent)} <= before  # new folders are names in these


def test_bad_part_is_set_aside_and_only_its_rows_are_missing(store: FeatureStore, make_rows) -> None:
    good, bad = make_rows(1, a=3, b=4), make_rows(2, c=5)
    store.write(good)
    name = store.write(bad)
    assert verify(store).faults == {}
    chunk = folder_of(store) / "parts" / name / "mfcc" / "c.0.0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    report = verify(store)
    assert report.parts == 2
    assert list(report.faults) == [name]
    assert "mfcc/c.0.0 is not what was written" in report.faults[name]
    assert store.missing(["a", "b", "c"]) == ["c"]
    assert (folder_of(store) / "quarantine" / name / "part.json").exists()
    store.write(bad)
    assert_holds(store, bad)
    assert verify(store).faults == {}


@pytest.mark.parametrize("file", ["part.json", "c.0.0"])
def test_part_that_only_this_process_cannot_read_is_not_set_aside(
    store: FeatureStore, make_rows, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    rows = make_rows(a=3)
    store.write(rows)
    whole = artefacts.open_plain

    def refuse(path: Path, flags: int) -> int:
        if path.name == file:
            raise OSError(24, "Too many open files", str(path))
        return whole(path, flags)

    monkeypatch.setattr(artefacts, "open_plain", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        verify(store)
    monkeypatch.undo()
    assert_holds(store, rows)


def test_part_brought_back_and_bad_again_is_set_aside_again(store: FeatureStore, make_rows) -> None:
    name = store.write(make_rows(a=3))
    (folder_of(store) / "parts" / name / "mel" / "c.0.0").unlink()
    verify(store)
    shutil.copytree(folder_of(store) / "quarantine" / name, folder_of(store) / "parts" / name)
    assert list(verify(store).faults) == [name]
    assert store.missing(["a"]) == ["a"]
    assert len(list((folder_of(store) / "quarantine").iterdir())) == 2


def test_sizes_are_of_files_at_any_depth_and_none_of_what_is_no_folder(tmp_path: Path) -> None:
    for path, size in (("parts/a/mel/c.0.0", 5), ("parts/a/part.json", 3), ("parts/b", 2)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(bytes(size))
    storage = FolderStorage(tmp_path)
    assert storage.sizes("parts") == {"a/mel/c.0.0": 5, "a/part.json": 3, "b": 2}
    assert storage.sizes("parts/b") == storage.sizes("parts/c") == {}
