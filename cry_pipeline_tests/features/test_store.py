import hashlib
import json
import os
import re
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds import KINDS, feature_set_digest
from cry_pipeline.features.rows import FeatureRows, FeatureStoreError
from cry_pipeline.features.store import FeatureStore


def assert_holds(store: FeatureStore, rows: FeatureRows) -> None:
    """``store`` gives back exactly ``rows``."""
    read = store.read(rows.recording_ids, tuple(KINDS))
    np.testing.assert_array_equal(read.offsets, rows.offsets)
    for kind, array in rows.arrays.items():
        assert read.arrays[kind].dtype == array.dtype
        np.testing.assert_array_equal(read.arrays[kind], array, err_msg=kind)


def test_what_is_written_is_read_by_another_reader(store: FeatureStore, make_rows) -> None:
    rows = make_rows(a=3, b=1, c=2000)  # c has more frames than a chunk
    store.write(rows)
    reader = FeatureStore.open(store.root.parent, store.spec)
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
    read = store.read([], tuple(KINDS))
    assert len(read) == 0
    assert read.arrays["mel"].shape == (0, 8)
    assert store.recording_ids() == set()
    assert not store.root.exists()  # looking makes nothing


def test_missing_keeps_order_and_sees_other_writers(store: FeatureStore, make_rows) -> None:
    assert store.missing(["b", "a"]) == ["b", "a"]
    FeatureStore.open(store.root.parent, store.spec).write(make_rows(a=3))
    assert store.missing(["c", "a", "b"]) == ["c", "b"]


def test_recordings_and_arrays_that_are_not_there_are_named(store: FeatureStore, make_rows) -> None:
    store.write(make_rows(a=3))
    with pytest.raises(FeatureStoreError, match="1 of 2 recordings have no features here, among them x;"):
        store.read(["a", "x"], ["mel"])
    with pytest.raises(FeatureStoreError, match="no array chroma; a feature set holds spectrogram, mel"):
        store.read(["a"], ["chroma"])


def test_a_store_elsewhere_than_in_a_folder_is_refused(spec: FeatureSetSpec) -> None:
    with pytest.raises(FeatureStoreError, match="kept in a local folder"):
        FeatureStore.open("s3://bucket/features", spec)


def test_feature_sets_lie_apart(store: FeatureStore, make_rows) -> None:
    store.write(make_rows(a=3))
    other = FeatureStore.open(store.root.parent, store.spec.model_copy(update={"floor_db": -80.0}))
    assert other.recording_ids() == set()
    about = json.loads((store.root / "feature_set.json").read_text())
    assert about["feature_set"] == store.digest == feature_set_digest(store.spec)
    assert about["spec"]["floor_db"] == -100


def test_part_of_another_feature_set_is_refused(store: FeatureStore, make_rows) -> None:
    part = store.write(make_rows(a=3))
    other = FeatureStore.open(store.root.parent, store.spec.model_copy(update={"floor_db": -80.0}))
    shutil.copytree(store.root / "parts" / part, other.root / "parts" / part)
    with pytest.raises(FeatureStoreError, match="is of the feature set"):
        other.recording_ids()


def test_data_version_is_of_the_rows_and_not_of_who_wrote_them(store: FeatureStore, make_rows) -> None:
    before = store.data_version(["b", "a"])
    store.write(make_rows(a=3, b=2))
    assert store.data_version(["a", "b"]) == before == store.data_version(iter(["a", "b", "b"]))
    assert store.data_version(["a"]) != before
    other = FeatureStore.open(store.root.parent, store.spec.model_copy(update={"floor_db": -80.0}))
    assert other.data_version(["a", "b"]) != before


def test_snapshot_and_info_tell_what_is_there(store: FeatureStore, make_rows) -> None:
    assert store.snapshot().parts == ()
    names = [store.write(make_rows(a=3)), store.write(make_rows(1, a=3, b=4))]
    assert store.snapshot().parts == tuple(sorted(names))
    info = store.info()
    assert (info.digest, info.recordings, info.parts) == (store.digest, 2, 2)
    assert info.bytes == sum(path.stat().st_size for path in (store.root / "parts").rglob("*") if path.is_file())


def test_rows_that_do_not_fit_leave_nothing_behind(store: FeatureStore, make_rows) -> None:
    rows = make_rows(a=3)
    rows.arrays["mel"][0, 0] = np.nan
    with pytest.raises(FeatureStoreError, match="not finite"):
        store.write(rows)
    assert not store.root.exists()


def test_every_reader_takes_the_same_of_equal_rows(store: FeatureStore, make_rows) -> None:
    written = {store.write(rows): rows for rows in (make_rows(seed, a=3 + seed) for seed in range(6))}
    first = min(written)
    assert_holds(store, written[first])
    assert_holds(FeatureStore.open(store.root.parent, store.spec), written[first])
    # When the part that they were taken from is bad, those of the next one are as good.
    (store.root / "parts" / first / "mel" / "c.0.0").unlink()
    store.verify()
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
            own = FeatureStore.open(store.root.parent, store.spec)
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
    assert store.verify().faults == {}


def test_leavings_of_a_dead_writer_are_ignored_and_in_time_removed(store: FeatureStore, make_rows) -> None:
    store.write(make_rows(a=3))
    old, young = store.root / "tmp" / "old", store.root / "tmp" / "young"
    for left in (old, young):
        shutil.copytree(store.root / "parts" / store.snapshot().parts[0], left)
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    assert store.snapshot() == FeatureStore.open(store.root.parent, store.spec).snapshot()
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
    assert list((store.root / "tmp").iterdir()) == []


def test_what_reads_back_differently_is_not_committed(
    store: FeatureStore, make_rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    setitem = zarr.Array.__setitem__

    def flip(array: zarr.Array, where, values) -> None:
        setitem(array, where, values * np.float16(2) if array.name.endswith("mel") else values)

    monkeypatch.setattr(zarr.Array, "__setitem__", flip)
    with pytest.raises(FeatureStoreError, match="read back differs"):
        store.write(make_rows(a=3))
    assert store.recording_ids() == set()


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
    assert str(store.root / "parts") in synced
    assert {str(store.root), str(store.root.parent)} <= before  # new folders are names in these


def test_part_is_plain_zarr_for_other_readers(store: FeatureStore, make_rows) -> None:
    rows = make_rows(a=3, b=2000)
    folder = store.root / "parts" / store.write(rows)
    group = zarr.open_group(str(folder), mode="r")
    assert group.attrs["parameters"]["n_fft"] == store.spec.n_fft  # type: ignore[index, call-overload]
    assert group.attrs["sample_rate_hz"] == 8000
    np.testing.assert_array_equal(group["offsets"][:], rows.offsets)  # type: ignore[index]
    assert group["recording_id"][:].tolist() == ["a", "b"]  # type: ignore[index, union-attr]
    for kind, about in KINDS.items():
        metadata = json.loads((folder / kind / "zarr.json").read_text())
        assert metadata["dimension_names"] == [about.rows, about.axis]
        assert metadata["fill_value"] == "NaN"
        inner = metadata["codecs"][0]["configuration"]
        assert inner["chunk_shape"] == [1024 if about.rows == "frame" else 2, rows.arrays[kind].shape[1]]
        assert [codec["name"] for codec in inner["codecs"]] == ["bytes", "crc32c"]
        opened = tensorstore.open(
            {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder / kind}/"}}
        ).result()
        np.testing.assert_array_equal(opened.read().result(), rows.arrays[kind])
    attributes = group["mel"].attrs.asdict()
    assert attributes["units"] == "dB re full-scale sine"
    assert attributes["frame_s"] == 32 / 8000
    assert len(group["statistics"].attrs["names"]) == rows.arrays["statistics"].shape[1]  # type: ignore[arg-type]


def _rewrite_part_json(folder: Path, change) -> str:
    """Rewrite ``part.json`` as if the part had been written that way, under the name that then is its own."""
    index = json.loads((folder / "part.json").read_text())
    change(index)
    content = json.dumps(index).encode()
    (folder / "part.json").write_bytes(content)
    name = hashlib.sha256(content).hexdigest()[: len(folder.name)]
    folder.rename(folder.with_name(name))
    return name


@pytest.mark.parametrize(("key", "value"), [("dtype", "float32"), ("shape", [3, 9])])
def test_array_that_differs_from_part_json_is_refused(store: FeatureStore, make_rows, key: str, value) -> None:
    folder = store.root / "parts" / store.write(make_rows(a=3))
    name = _rewrite_part_json(folder, lambda index: index["arrays"]["mel"].update({key: value}))
    with pytest.raises(FeatureStoreError, match=f"part {name}: mel is .* but part.json says"):
        store.read(["a"], ["mel"])
    store.read(["a"], ["mfcc"])


def test_value_that_is_not_a_number_is_refused_though_its_checksum_is_right(store: FeatureStore, make_rows) -> None:
    name = store.write(make_rows(a=3))
    array = zarr.open_array(str(store.root / "parts" / name / "mel"), mode="r+")
    array[1, 1] = np.nan
    with pytest.raises(FeatureStoreError, match=re.escape(f"part {name}: mel holds values that are not finite")):
        store.read(["a"], ["mel"])


def test_missing_chunk_is_said_to_be_missing(store: FeatureStore, make_rows) -> None:
    name = store.write(make_rows(a=3))
    (store.root / "parts" / name / "mel" / "c.0.0").unlink()
    with pytest.raises(FeatureStoreError, match=rf"part {name}: mel cannot be read \(NOT_FOUND"):
        store.read(["a"], ["mel"])


def test_bad_part_is_set_aside_and_only_its_rows_are_missing(store: FeatureStore, make_rows) -> None:
    good, bad = make_rows(1, a=3, b=4), make_rows(2, c=5)
    store.write(good)
    name = store.write(bad)
    assert store.verify().faults == {}
    chunk = store.root / "parts" / name / "mfcc" / "c.0.0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    report = store.verify()
    assert report.parts == 2
    assert list(report.faults) == [name]
    assert "mfcc/c.0.0 is not what was written" in report.faults[name]
    assert store.missing(["a", "b", "c"]) == ["c"]
    assert (store.root / "quarantine" / name / "part.json").exists()
    store.write(bad)
    assert_holds(store, bad)
    assert store.verify().faults == {}
